-- Stops a VM, and remembers its run strategy for `start`.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["argocd.lcow.dev/run-strategy"] = obj.spec.runStrategy or "Always"
obj.spec.runStrategy = "Halted"
return obj
