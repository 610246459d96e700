-- How Argo CD judges a LinuxUtilityVM. Ready=True means that the VM does what its manifest asks for, even if that is to
-- be stopped. Stalled=True means that only a change of the manifest or the host can help. Any other VM is progressing,
-- unless it fails again and again.
local crashLoopFailures = 3

local function conditionOf(kind)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, condition in ipairs(obj.status.conditions) do
      if condition.type == kind then
        return condition
      end
    end
  end
  return nil
end

local function verdict(status, message)
  return { status = status, message = message }
end

local function textOf(condition)
  return condition.reason .. ": " .. condition.message
end

if obj.metadata.deletionTimestamp ~= nil then
  local terminating = conditionOf("Terminating")
  return verdict("Progressing", terminating ~= nil and textOf(terminating) or "Terminating")
end
-- The values that the operator takes for true: those of Go's strconv.ParseBool.
local truths = { ["1"] = true, t = true, T = true, TRUE = true, ["true"] = true, True = true }
local annotations = obj.metadata.annotations
local paused = conditionOf("Paused")
if paused ~= nil or (annotations ~= nil and truths[annotations["lcow.dev/paused"]]) then
  return verdict("Suspended", paused ~= nil and textOf(paused) or "Paused by annotation")
end

local ready = conditionOf("Ready")
if ready == nil then
  return verdict("Progressing", "Waiting for the operator")
end
local stalled = conditionOf("Stalled")
if stalled ~= nil and stalled.status == "True" then
  return verdict("Degraded", textOf(stalled))
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return verdict("Progressing", "Waiting for the agent to take the newest manifest")
end
if ready.status == "True" then
  local restart = conditionOf("RestartRequired")
  return verdict("Healthy", textOf(ready) .. (restart ~= nil and "; " .. textOf(restart) or ""))
end
if ready.status == "Unknown" then
  return verdict("Degraded", textOf(ready))
end
if ready.reason == "HostDrained" then
  return verdict("Suspended", textOf(ready))
end
local failure = obj.status.startFailure
if ready.reason == "BackOff" or (failure ~= nil and failure.count >= crashLoopFailures) then
  return verdict("Degraded", textOf(ready))
end
return verdict("Progressing", textOf(ready))
