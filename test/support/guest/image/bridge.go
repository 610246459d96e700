package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Message types of the bridge (hcs-runtime E.2).
const (
	shutdownGraceful = 0x10100301
	shutdownForced   = 0x10100401
	executeProcess   = 0x10100501
	waitForProcess   = 0x10100601
	signalProcess    = 0x10100701
	resizeConsole    = 0x10100801
	getProperties    = 0x10100901
	modifySettings   = 0x10100A01
	negotiate        = 0x10100B01
	dumpStacks       = 0x10100C01
	deleteState      = 0x10100D01

	nullID        = "00000000-0000-0000-0000-000000000000"
	maxRequest    = 16 << 20
	maxLateAnswer = 64
)

// Results of the guest (hcs-runtime E.3).
const (
	notSupported    = 0x80004001
	unspecified     = 0x80004005
	invalidJSON     = 0xC037010D
	protocolRange   = 0xC037010C
	noSuchContainer = 0xC037010E
	noSuchProcess   = 0x80070490
)

// failure is what the guest answers with instead of a result.
type failure struct {
	result uint32
	text   string
}

func (f *failure) Error() string { return f.text }

func hresult(result uint32) *failure { return &failure{result, fmt.Sprintf("HRESULT: 0x%x", result)} }

type common struct {
	ContainerId string
	ActivityId  string
}

type record struct {
	Result     int32
	Message    string
	ModuleName string
	FileName   string
	Line       uint32
}

// service lives as long as the guest; connections come and go.
type service struct {
	speaks    bool
	processes *processes
	resources resources

	mutex      sync.Mutex
	host       *stream
	negotiated bool
	late       [][]byte
}

func newService(speaks bool) *service { return &service{speaks: speaks, processes: newProcesses()} }

// serve handles one connection until it ends. Every request has a thread of control of its own.
func (s *service) serve(host *stream) {
	s.mutex.Lock()
	s.host, s.negotiated = host, false
	late := s.late
	s.late = nil
	for _, frame := range late {
		_, _ = host.Write(frame)
	}
	s.mutex.Unlock()
	for {
		header := make([]byte, 16)
		if _, err := io.ReadFull(host, header); err != nil {
			break
		}
		size := binary.LittleEndian.Uint32(header[4:])
		if size < 16 || size > maxRequest {
			break
		}
		payload := make([]byte, size-16)
		if _, err := io.ReadFull(host, payload); err != nil {
			break
		}
		s.mutex.Lock()
		negotiated := s.negotiated
		s.mutex.Unlock()
		go s.handle(binary.LittleEndian.Uint32(header), binary.LittleEndian.Uint64(header[8:]), payload, negotiated)
	}
	s.mutex.Lock()
	s.host = nil
	s.mutex.Unlock()
}

func (s *service) handle(kind uint32, id uint64, payload []byte, negotiated bool) {
	var about common
	_ = json.Unmarshal(payload, &about)
	answer, err := s.answer(kind, payload, about, negotiated)
	if err == nil && answer == nil {
		return
	}
	if err != nil {
		refusal, is := err.(*failure)
		if !is {
			refusal = &failure{unspecified, err.Error()}
		}
		logLine("error", "request failed", map[string]any{"type": fmt.Sprintf("0x%x", kind), "error": refusal.text})
		answer = map[string]any{
			"Result": int32(refusal.result), "ErrorMessage": refusal.text,
			"ErrorRecords": []record{{int32(refusal.result), refusal.text, "gcs", "", ^uint32(0)}},
		}
	} else {
		answer["Result"] = 0
	}
	if about.ActivityId != "" {
		answer["ActivityId"] = about.ActivityId
	}
	s.send(kind&0x0fffffff|0x20000000, id, answer)
}

// send writes to the connection that is there now; without one the answer waits for the next (hcs-runtime E.7).
func (s *service) send(kind uint32, id uint64, answer map[string]any) {
	payload, err := json.Marshal(answer)
	if err != nil {
		return
	}
	frame := make([]byte, 16, 16+len(payload))
	binary.LittleEndian.PutUint32(frame, kind)
	binary.LittleEndian.PutUint32(frame[4:], uint32(16+len(payload)))
	binary.LittleEndian.PutUint64(frame[8:], id)
	frame = append(frame, payload...)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.host != nil {
		if _, err := s.host.Write(frame); err == nil {
			return
		}
	}
	if len(s.late) < maxLateAnswer {
		s.late = append(s.late, frame)
	}
}

func (s *service) answer(kind uint32, payload []byte, about common, negotiated bool) (map[string]any, error) {
	if !s.speaks || negotiated == (kind == negotiate) {
		return nil, unknownMessage(kind)
	}
	inVM := about.ContainerId == nullID
	switch kind {
	case negotiate:
		return s.negotiate(payload)
	case shutdownGraceful, shutdownForced:
		if !inVM {
			return nil, hresult(noSuchContainer)
		}
		powerOff()
		return nil, nil
	case executeProcess, waitForProcess, modifySettings:
		if !inVM {
			return nil, hresult(noSuchContainer)
		}
		return s.answerForVM(kind, payload)
	case dumpStacks:
		stacks := make([]byte, 32<<10)
		return map[string]any{"GuestStacks": string(stacks[:runtime.Stack(stacks, true)])}, nil
	case getProperties:
		if inVM {
			return nil, &failure{unspecified, "getPropertiesV2 is not supported against the UVM"}
		}
		return nil, hresult(noSuchContainer)
	case signalProcess, resizeConsole, deleteState:
		return nil, hresult(noSuchContainer)
	}
	return nil, unknownMessage(kind)
}

func (s *service) answerForVM(kind uint32, payload []byte) (map[string]any, error) {
	switch kind {
	case executeProcess:
		return s.processes.execute(payload)
	case waitForProcess:
		return s.processes.wait(payload)
	}
	return s.resources.modify(payload)
}

func (s *service) negotiate(payload []byte) (map[string]any, error) {
	var request struct{ MinimumVersion, MaximumVersion uint32 }
	if err := read(payload, &request); err != nil {
		return nil, err
	}
	if request.MaximumVersion < 4 || request.MinimumVersion > 4 {
		return nil, hresult(protocolRange)
	}
	s.mutex.Lock()
	s.negotiated = true
	s.mutex.Unlock()
	return map[string]any{
		"Version": 4,
		"Capabilities": map[string]any{
			"SupportedSchemaVersions": []map[string]int{{"Major": 2, "Minor": 1}},
			"RuntimeOsType":           "Linux",
			"GuestDefinedCapabilities": map[string]bool{
				"NamespaceAddRequestSupported": true, "SignalProcessSupported": true,
				"DumpStacksSupported": true, "DeleteContainerStateSupported": true,
			},
		},
	}, nil
}

func read(payload []byte, into any) error {
	if err := json.Unmarshal(payload, into); err != nil {
		return &failure{invalidJSON, fmt.Sprintf("failed to unmarshal JSON in message %q: HRESULT 0xc037010d: %v", payload, err)}
	}
	return nil
}

func unknownMessage(kind uint32) *failure {
	return &failure{notSupported, fmt.Sprintf("HRESULT 0x80004001: bridge: function not supported, header type: %d", kind)}
}

// powerOff does not come back: there is no answer to it (hcs-runtime E.6).
func powerOff() {
	logLine("info", "powering off", nil)
	syscall.Sync()
	time.Sleep(50 * time.Millisecond)
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}
