-- Restarts a VM once, as `kubectl luvm restart` does.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["lcow.dev/restartedAt"] = os.date("!%Y-%m-%dT%XZ")
return obj
