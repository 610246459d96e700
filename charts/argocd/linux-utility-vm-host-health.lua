-- How Argo CD judges a LinuxUtilityVMHost, if it shows it: by whether its agent is connected.
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "Connected" then
      local healthy = condition.status == "True"
      return { status = healthy and "Healthy" or "Degraded", message = condition.message }
    end
  end
end
return { status = "Progressing", message = "Waiting for the agent" }
