package main

import (
	"context"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type fluxExpressions struct {
	InProgress string `json:"inProgress"`
	Failed     string `json:"failed"`
	Current    string `json:"current"`
}

type fluxJudge struct {
	evaluator *cel.StatusEvaluator
}

func newFlux(expressions fluxExpressions) (*fluxJudge, error) {
	evaluator, err := cel.NewStatusEvaluator(&kustomize.HealthCheckExpressions{
		InProgress: expressions.InProgress,
		Failed:     expressions.Failed,
		Current:    expressions.Current,
	})
	if err != nil {
		return nil, err
	}
	return &fluxJudge{evaluator: evaluator}, nil
}

// The words are those of kstatus.
func (judge *fluxJudge) judge(ctx context.Context, object *unstructured.Unstructured) (string, error) {
	result, err := judge.evaluator.Evaluate(ctx, object)
	if err != nil {
		return "", err
	}
	return result.Status.String(), nil
}
