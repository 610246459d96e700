-- How Argo CD judges a LinuxUtilityVMSet. Ready=True means that every VM that may have the present template has it, and all
-- are available. Stalled=True means that waiting may not help. A paused rollout is suspended.
local function conditionOf(kind)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, condition in ipairs(obj.status.conditions) do
      if condition.type == kind and condition.status == "True" then
        return condition
      end
    end
  end
  return nil
end

local function verdict(status, condition)
  return { status = status, message = condition.reason .. ": " .. condition.message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "Terminating" }
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the operator to take the newest manifest" }
end
local stalled = conditionOf("Stalled")
if stalled ~= nil then
  return verdict("Degraded", stalled)
end
local paused = conditionOf("Paused")
if paused ~= nil then
  return verdict("Suspended", paused)
end
local ready = conditionOf("Ready")
if ready ~= nil then
  return verdict("Healthy", ready)
end
local reconciling = conditionOf("Reconciling")
if reconciling ~= nil then
  return verdict("Progressing", reconciling)
end
return { status = "Progressing", message = "Waiting for the operator" }
