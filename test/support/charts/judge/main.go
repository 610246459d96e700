// Judges objects as Flux and Argo CD do, with the code of Flux itself and with the Lua interpreter of Argo CD.
//
// It reads one question as JSON from its standard input, and writes the verdicts as JSON, one for each object.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	// The health check expressions of a Flux Kustomization, for the kind of the objects.
	Flux fluxExpressions `json:"flux"`
	// The health script of Argo CD for the kind of the objects.
	Lua     string                       `json:"lua"`
	Objects []*unstructured.Unstructured `json:"objects"`
}

type verdict struct {
	Flux string `json:"flux"`
	Argo string `json:"argo"`
}

func main() {
	if err := answer(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(ctx context.Context, input io.Reader, output io.Writer) error {
	var asked question
	if err := json.NewDecoder(input).Decode(&asked); err != nil {
		return fmt.Errorf("read the question: %w", err)
	}
	flux, err := newFlux(asked.Flux)
	if err != nil {
		return err
	}
	verdicts := []verdict{}
	for _, object := range asked.Objects {
		byFlux, err := flux.judge(ctx, object)
		if err != nil {
			return fmt.Errorf("%s, judged by Flux: %w", object.GetName(), err)
		}
		byArgo, err := judgeByLua(ctx, asked.Lua, object)
		if err != nil {
			return fmt.Errorf("%s, judged by Argo CD: %w", object.GetName(), err)
		}
		verdicts = append(verdicts, verdict{Flux: byFlux, Argo: byArgo})
	}
	return json.NewEncoder(output).Encode(verdicts)
}
