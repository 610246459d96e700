package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const bridgePort = 0x40000000

// runService is the guest service (hcs-runtime F.4): it logs, follows the kernel's log, and serves the host's bridge.
func runService(arguments []string) int {
	flags := flag.NewFlagSet("gcs", flag.ContinueOnError)
	speaks := flags.Bool("v4", false, "answer requests; without it every one is unknown")
	_ = flags.String("loglevel", "debug", "")
	_ = flags.String("logfile", "", "")
	_ = flags.String("log-format", "text", "")
	_ = flags.String("core-dump-location", "", "")
	_ = flags.Uint("kmsgLogLevel", 4, "")
	_ = flags.Bool("use-inouterr", false, "")
	_ = flags.Uint64("root-mem-reserve-bytes", 75<<20, "")
	_ = flags.Uint64("gcs-mem-limit-bytes", 50<<20, "")
	_ = flags.Bool("disable-time-sync", false, "")
	_ = flags.Bool("scrub-logs", true, "")
	_ = flags.String("initial-policy-stance", "allow", "")
	if err := flags.Parse(arguments); err != nil {
		return 1
	}
	// Caught, not ignored: what is ignored stays so in every process that is started.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	seeded, _ := os.ReadFile("/run/entropy-bytes")
	logLine("info", "GCS started", map[string]any{"branch": "test", "commit": "none", "version": "test", "entropyBytes": string(seeded)})
	go followKernel()
	go serveHTTP()
	service := newService(*speaks)
	for {
		host, err := dial(bridgePort)
		if err == nil {
			service.serve(host)
			host.Close()
			logLine("info", "bridge connection ended", nil)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

var logMutex sync.Mutex

// logLine writes one line as the original's formatter does: an object with sorted names.
func logLine(level, message string, fields map[string]any) {
	entry := map[string]any{"level": level, "msg": message, "time": time.Now().UTC().Format(time.RFC3339Nano)}
	for name, value := range fields {
		entry[name] = value
	}
	line, err := json.Marshal(entry)
	if err != nil {
		return
	}
	logMutex.Lock()
	defer logMutex.Unlock()
	_, _ = os.Stderr.Write(append(line, '\n'))
}

// followKernel logs each message of the kernel (hcs-runtime D.3).
func followKernel() {
	messages, err := os.Open("/dev/kmsg")
	if err != nil {
		logLine("error", "cannot read the kernel's log", map[string]any{"error": err.Error()})
		return
	}
	reader := bufio.NewReaderSize(messages, 8192)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		prefix, text, found := strings.Cut(strings.TrimSuffix(line, "\n"), ";")
		parts := strings.Split(prefix, ",")
		if !found || len(parts) < 4 {
			continue
		}
		priority, _ := strconv.Atoi(parts[0])
		sequence, _ := strconv.Atoi(parts[1])
		since, _ := strconv.ParseInt(parts[2], 10, 64)
		names := []string{"Emerg", "Alert", "Crit", "Err", "Warning", "Notice", "Info", "Debug"}
		logLine("info", "kmsg read", map[string]any{
			"facility": priority >> 3, "priority": names[priority&7], "seq": sequence,
			"timesincebootmicro": since, "flags": parts[3], "message": text + `\x0a`,
		})
	}
}
