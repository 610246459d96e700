package main

import (
	"encoding/json"
	"fmt"
	"sync"
)

// resources is what the host has changed in this guest (hcs-runtime E.6, ModifySettings).
type resources struct {
	mutex     sync.Mutex
	hasPolicy bool
}

func (r *resources) modify(payload []byte) (map[string]any, error) {
	var request struct {
		Request struct {
			RequestType, ResourceType string
			Settings                  json.RawMessage
		}
	}
	if err := read(payload, &request); err != nil {
		return nil, err
	}
	switch request.Request.ResourceType {
	case "SecurityPolicy":
		return r.setPolicy(request.Request.Settings)
	case "MappedVirtualDisk":
		return changeDisk(request.Request.RequestType, request.Request.Settings)
	case "SCSIDevice":
		return unplug(request.Request.Settings)
	case "SecurityPolicyFragment", "PodCgroupMemoryLimit", "VPCIDevice", "Network":
		return map[string]any{}, nil
	}
	text := fmt.Sprintf("failed to unmarshal JSON in message %q: invalid ResourceType '%s'", payload, request.Request.ResourceType)
	return nil, &failure{unspecified, text}
}

func (r *resources) setPolicy(settings json.RawMessage) (map[string]any, error) {
	var policy struct{ EnforcerType, EncodedSecurityPolicy string }
	if err := read(settings, &policy); err != nil {
		return nil, err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.hasPolicy {
		return nil, &failure{unspecified, "security policy has already been set"}
	}
	r.hasPolicy = true
	logLine("info", "security policy set", map[string]any{"enforcer": policy.EnforcerType, "bytes": len(policy.EncodedSecurityPolicy)})
	return map[string]any{}, nil
}
