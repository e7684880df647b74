package app

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules/eventtime"
)

// DecisionSource says where decisions are read: from files, or from a topic.
type DecisionSource struct {
	// Files hold decisions as JSON lines, or exposures and conversions as
	// nudged export writes them (.csv). Empty: the topic.
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
	src, done, err := input.Open(path, input.Options{Stdin: s.Stdin, OnRead: s.OnRead})
	if err != nil {
		return err
	}
	defer done()
	if filepath.Ext(strings.TrimSuffix(strings.ToLower(path), ".gz")) == ".csv" {
		return exportedRows(ctx, path, src, visit, s.Complain)
	}
	return decisions.Lines(path, src, func(d *decisions.Decision) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return visit(d)
	}, s.Complain)
}

// exportedRows reads the exposures or conversions of an export back.
func exportedRows(ctx context.Context, path string, src io.Reader, visit func(*decisions.Decision) error, complain func(error)) error {
	rows := csv.NewReader(src)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return fmt.Errorf("%s: no header of an export: %w", path, err)
	}
	header = slices.Clone(header)
	at := func(name string) int { return slices.Index(header, name) }
	experiment, phase, user, when := at("experiment"), at("phase"), at("user"), at("time")
	arm, value, id, kind := at("arm"), at("value"), at("command_id"), at("decision")
	if experiment < 0 || phase < 0 || user < 0 || when < 0 || kind < 0 || arm < 0 || value < 0 || id < 0 {
		return fmt.Errorf("%s: not an export of exposures or conversions (columns experiment, phase, user, arm, decision, time, value, command_id): "+
			"it has %s. A table with a row for each user is read with --csv", path, strings.Join(header, ", "))
	}
	for {
		row, err := rows.Read()
		var malformed *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &malformed):
			complain(fmt.Errorf("%s: %w", path, err))
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		line, _ := rows.FieldPos(0)
		n, errPhase := strconv.Atoi(row[phase])
		ms, ok := eventtime.ParseRFC3339([]byte(row[when]))
		if errPhase != nil || !ok {
			complain(fmt.Errorf("%s:%d: phase %q or time %q cannot be read", path, line, row[phase], row[when]))
			continue
		}
		d := decisions.Decision{
			Kind: []byte(row[kind]), CommandID: []byte(row[id]), User: []byte(row[user]),
			Experiment: []byte(row[experiment]), Arm: []byte(row[arm]), Phase: n, Fired: ms,
		}
		if row[value] != "" {
			if d.Value, err = strconv.ParseFloat(row[value], 64); err != nil {
				complain(fmt.Errorf("%s:%d: value %q is not a number", path, line, row[value]))
				continue
			}
		}
		if err := visit(&d); err != nil {
			return err
		}
	}
}
