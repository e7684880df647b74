package app

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/internal/export"
	"github.com/nudged/nudged/internal/input"
)

// DecisionSource says where decisions are read: from files, or from a topic.
type DecisionSource struct {
	// Files hold decisions as JSON lines, or exposures and conversions as
	// nudged export writes them (.csv, .parquet). Empty: the topic.
	Files []string
	Stdin io.Reader

	Options []kgo.Opt // how to reach Kafka
	Topic   string

	// Complain is told of every line that is not a decision.
	Complain func(error)
	OnRead   func(bytes int)
}

// each calls visit with each decision.
func (s *DecisionSource) each(ctx context.Context, visit func(*decisions.Decision) error) error {
	if len(s.Files) == 0 {
		var d decisions.Decision
		return readTopic(ctx, s.Options, s.Topic, func(r *kgo.Record) error {
			if r.Value == nil {
				return nil // a tombstone
			}
			if err := d.Parse(r.Value); err != nil {
				s.Complain(fmt.Errorf("topic %s, partition %d, offset %d: %w", r.Topic, r.Partition, r.Offset, err))
				return nil
			}
			return visit(&d)
		})
	}
	for _, path := range s.Files {
		if err := s.file(ctx, path, visit); err != nil {
			return err
		}
	}
	return nil
}

func (s *DecisionSource) file(ctx context.Context, path string, visit func(*decisions.Decision) error) error {
	checked := func(d *decisions.Decision) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return visit(d)
	}
	ext := filepath.Ext(strings.TrimSuffix(strings.ToLower(path), ".gz"))
	if ext == ".parquet" {
		return export.ReadParquet(path, checked)
	}
	src, done, err := input.Open(path, input.Options{Stdin: s.Stdin, OnRead: s.OnRead})
	if err != nil {
		return err
	}
	defer done()
	if ext == ".csv" {
		return export.ReadCSV(path, src, checked, s.Complain)
	}
	return decisions.Lines(path, src, checked, s.Complain)
}
