-- The actions that Argo CD offers for a LinuxUtilityVM. A halted VM can be started. Any other VM can be restarted and
-- halted.
local halted = obj.spec.runStrategy == "Halted"
local deleting = obj.metadata.deletionTimestamp ~= nil
return {
  ["restart"] = { ["disabled"] = deleting or halted },
  ["halt"] = { ["disabled"] = deleting or halted },
  ["start"] = { ["disabled"] = deleting or not halted },
}
