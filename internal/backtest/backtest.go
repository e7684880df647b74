// Package backtest runs rules over history: files of events, or a topic between
// two times. It uses the engine that runs live, on the event clock, with many
// partitions in parallel, and says what would have been sent and what that might
// have brought.
//
// What it finds does not depend on how many goroutines it uses: partitions are
// independent of each other, and what they decide is put back into the order of
// the input.
package backtest

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/sinks"
)

// Config says what to run over which history.
type Config struct {
	Rules string
	// Compare is a second rule set that runs over the same history; empty: none.
	Compare string

	// Files are the history, unless Topic is.
	Files   []string
	Mapping input.Mapping
	Stdin   io.Reader
	// Partitions is the number of partitions of the topic that files simulate:
	// each has a clock of its own, as it has live.
	Partitions int

	// Topic is read as it stands when the backtest begins.
	Topic   string
	Options []kgo.Opt // how to reach Kafka
	// MaxAhead and MaxEvent are those of the daemon: ms by which an event may be
	// ahead of its record (0: any), bytes of an event (0: any).
	MaxAhead int64
	MaxEvent int

	// From and To bound the times of the events: those in [From, To) are taken,
	// ms; 0: unbounded. With To the clocks run on to it at the end.
	From, To int64

	// Goal, if it is not nil, is the goal of every rule, whatever its experiment
	// says.
	Goal   *rules.Goal
	Assume Assumptions

	// Decisions takes every decision as a JSON line; nil: they are counted only.
	Decisions io.Writer
	// Complain is told of every line or record that is not an event, in order.
	Complain func(error)
	// OnTotal is told how many records a topic holds, OnRead how many of them, or
	// how many bytes of files, were read. They may be nil.
	OnTotal func(int64)
	OnRead  func(int)
	// Workers is how many partitions are worked on at a time; 0: one for each
	// core.
	Workers int
}

// Run reads the history through the engine.
func (c *Config) Run(ctx context.Context) (*Result, error) {
	sets := make([]*rules.Set, 0, 2)
	for _, path := range []string{c.Rules, c.Compare} {
		if path == "" && len(sets) > 0 {
			continue
		}
		set, err := rulefile.Load(path)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	if c.Topic != "" {
		workers, err := c.runTopic(ctx, sets)
		if err != nil {
			return nil, err
		}
		return c.result(sets, workers, 0), nil
	}
	// Files are turned into nudged's own form on the way in.
	workers := c.workers(sets, c.Partitions, sinks.Origin{RulesVersion: sets[0].Version}, input.Mapping{})
	bad, err := c.runFiles(ctx, workers)
	if err != nil {
		return nil, err
	}
	return c.result(sets, workers, bad), nil
}

// workers shares the partitions out among at most so many goroutines.
func (c *Config) workers(sets []*rules.Set, partitions int, origin sinks.Origin, m input.Mapping) []*worker {
	n := c.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	out := make([]*worker, min(n, partitions))
	for i := range out {
		out[i] = newWorker(c, sets, partitions, origin, m)
	}
	return out
}

func writing(err error) error { return fmt.Errorf("write decisions: %w", err) }
