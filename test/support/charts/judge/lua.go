package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What Argo CD lets a health script use. It has no strings library there.
var libraries = map[string]lua.LGFunction{
	lua.LoadLibName: lua.OpenPackage,
	lua.BaseLibName: lua.OpenBase,
	lua.TabLibName:  lua.OpenTable,
}

// As long as Argo CD waits for a script, and more, for a busy machine.
const patience = 30 * time.Second

func judgeByLua(ctx context.Context, script string, object *unstructured.Unstructured) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	state.SetContext(ctx)
	// The package library comes first: the others register with it.
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		open := lua.P{Fn: state.NewFunction(libraries[name]), NRet: 0, Protect: true}
		if err := state.CallByParam(open, lua.LString(name)); err != nil {
			return "", err
		}
	}
	state.SetGlobal("obj", luaValue(state, object.UnstructuredContent()))
	if err := state.DoString(script); err != nil {
		return "", err
	}
	health, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return "", errors.New("the script returns no table")
	}
	if message := health.RawGetString("message"); message.Type() != lua.LTString {
		return "", fmt.Errorf("the message is a %s", message.Type())
	}
	return health.RawGetString("status").String(), nil
}

func luaValue(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for name, member := range value {
			table.RawSetString(name, luaValue(state, member))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, member := range value {
			table.Append(luaValue(state, member))
		}
		return table
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	default:
		return lua.LNil
	}
}
