// BuildKit's own checks of a Dockerfile (`docker build --check`), without an engine and without a registry: base images
// count as empty. It reads a Dockerfile from standard input and prints its findings as one JSON array.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/opencontainers/go-digest"
)

type finding struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
	Line    int32  `json:"line"`
}

type emptyImages struct{}

func (emptyImages) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	platform := map[string]string{"architecture": "amd64", "os": "linux"}
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		platform = map[string]string{"architecture": opt.ImageOpt.Platform.Architecture, "os": opt.ImageOpt.Platform.OS}
	}
	config, err := json.Marshal(platform)
	return ref, digest.FromBytes(config), config, err
}

func main() {
	findings, err := lint(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(findings)
}

func lint(input io.Reader) ([]finding, error) {
	dockerfile, err := io.ReadAll(input)
	if err != nil {
		return nil, err
	}
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", dockerfile)
	source.Definition = &llb.Definition{}
	results, err := dockerfile2llb.DockerfileLint(context.Background(), dockerfile, dockerfile2llb.ConvertOpt{
		MetaResolver: emptyImages{},
		SourceMap:    source,
	})
	if err != nil {
		return nil, err
	}
	findings := []finding{}
	for _, warning := range results.Warnings {
		line := int32(0)
		if ranges := warning.Location.GetRanges(); len(ranges) > 0 {
			line = ranges[0].Start.Line
		}
		findings = append(findings, finding{Rule: warning.RuleName, Message: warning.Detail, Line: line})
	}
	if results.Error != nil {
		findings = append(findings, finding{Rule: "Error", Message: results.Error.Message})
	}
	return findings, nil
}
