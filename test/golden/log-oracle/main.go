// An independent reading of hcs-runtime D.4 in the language of the original, on the same standard library: a judge for the
// parser of this project. It reads one stream a line, in base64, and answers each with the records up to the first value
// that it cannot decode.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
)

type level string

var levels = map[string]level{
	"panic": "error", "fatal": "error", "error": "error",
	"warn": "warning", "warning": "warning", "info": "info", "debug": "debug", "trace": "trace",
}

func (l *level) UnmarshalText(text []byte) error {
	known, found := levels[strings.ToLower(string(text))]
	if !found {
		return fmt.Errorf("not a valid level: %q", text)
	}
	*l = known
	return nil
}

type record struct {
	Level   level          `json:"level"`
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields"`
}

func (r *record) UnmarshalJSON(value []byte) error {
	standard := struct {
		Time    time.Time `json:"time"`
		Level   level     `json:"level"`
		Message string    `json:"msg"`
	}{Level: "info"}
	if err := json.Unmarshal(value, &standard); err != nil {
		return err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(value, &fields); err != nil {
		return err
	}
	if fields == nil {
		fields = map[string]any{}
	}
	for _, name := range []string{"time", "level", "msg"} {
		delete(fields, name)
	}
	r.Level, r.Message, r.Fields = standard.Level, standard.Message, fields
	r.takeEventText()
	for name, value := range fields {
		if number, is := value.(float64); is && math.Trunc(number) == number && math.Abs(number) < 1<<63 {
			fields[name] = int64(number)
		}
	}
	fields["uvm-id"] = "vm-1"
	fields["vm.time"] = standard.Time.Format(time.RFC3339Nano)
	return nil
}

func (r *record) takeEventText() {
	if r.Fields["Source"] != "ETW" {
		return
	}
	for _, name := range []string{"message", "Message"} {
		if text, is := r.Fields[name].(string); is {
			r.Message = text
			delete(r.Fields, name)
			return
		}
	}
}

type answer struct {
	Records []record `json:"records"`
	// Complete: the stream ended where a value may end.
	Complete bool `json:"complete"`
}

func read(stream []byte) answer {
	decoder := json.NewDecoder(bytes.NewReader(stream))
	found := answer{Records: []record{}}
	for {
		var next record
		if err := decoder.Decode(&next); err != nil {
			found.Complete = errors.Is(err, io.EOF)
			return found
		}
		found.Records = append(found.Records, next)
	}
}

func main() {
	input, output := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		stream, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		if err != nil {
			panic(err)
		}
		text, err := json.Marshal(read(stream))
		if err != nil {
			panic(err)
		}
		_, _ = output.Write(append(text, '\n'))
		_ = output.Flush()
	}
}
