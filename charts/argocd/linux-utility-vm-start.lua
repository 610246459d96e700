-- Starts a halted VM with the run strategy that it had before `halt`, or with the default if it had none.
local annotations = obj.metadata.annotations
local before = annotations ~= nil and annotations["argocd.lcow.dev/run-strategy"] or nil
if annotations ~= nil then
  annotations["argocd.lcow.dev/run-strategy"] = nil
end
obj.spec.runStrategy = before or "Always"
return obj
