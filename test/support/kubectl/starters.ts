// A user who may `get` processes in guests, which is what the API server reviews, and a group that may create them.

const rbac = 'rbac.authorization.k8s.io';

export const starter = 'jane';
/** A group name in the style of a directory service. */
export const startersGroup = 'cn=starters,ou=vms';

const subjects = [
  { verb: 'get', subject: { kind: 'User', name: starter } },
  { verb: 'create', subject: { kind: 'Group', name: startersGroup } },
] as const;

/** Roles and bindings for both. */
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
