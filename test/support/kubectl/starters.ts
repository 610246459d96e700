// A user who may get processes of guests, as the API server reviews it, and a group that may create them.

const rbac = 'rbac.authorization.k8s.io';

export const starter = 'jane';
/** As directories name groups. */
export const startersGroup = 'cn=starters,ou=vms';

const subjects = [
  { verb: 'get', subject: { kind: 'User', name: starter } },
  { verb: 'create', subject: { kind: 'Group', name: startersGroup } },
] as const;

/** Their roles and bindings. */
export const startersList = {
  apiVersion: 'v1',
  kind: 'List',
  items: subjects.flatMap(({ subject, verb }) => {
    const metadata = { name: `${verb}-exec`, namespace: 'default' };
    const rules = [{ apiGroups: ['subresources.lcow.dev'], resources: ['linuxutilityvms/exec'], verbs: [verb] }];
    const roleRef = { apiGroup: rbac, kind: 'Role', name: metadata.name };
    return [
      { apiVersion: `${rbac}/v1`, kind: 'Role', metadata, rules },
      {
        apiVersion: `${rbac}/v1`,
        kind: 'RoleBinding',
        metadata,
        roleRef,
        subjects: [{ apiGroup: rbac, ...subject }],
      },
    ];
  }),
};
