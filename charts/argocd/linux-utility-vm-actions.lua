-- Which actions Argo CD offers for a LinuxUtilityVM. What is halted can be started; what is to run can be restarted and halted.
local halted = obj.spec.runStrategy == "Halted"
local deleting = obj.metadata.deletionTimestamp ~= nil
return {
  ["restart"] = { ["disabled"] = deleting or halted },
  ["halt"] = { ["disabled"] = deleting or halted },
  ["start"] = { ["disabled"] = deleting or not halted },
}
