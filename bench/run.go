package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/nudged/nudged/bench/load"
	"github.com/nudged/nudged/bench/oracle"
	"github.com/nudged/nudged/bench/workload"
)

// runCommand is the benchmark: load, rounds, report.
func runCommand(ctx context.Context, args []string, out io.Writer) (err error) {
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	cfg := workloadFlags(fs)
	nudged := nudgedFlag(fs)
	repeat := fs.Int("repeat", 3, "measured rounds; the figures are their medians")
	warm := fs.Int("warm", 1, "rounds before them that are verified, but not counted: a broker just started costs several times as much")
	floorsOnly := fs.Bool("floors-only", false, "leave nudged out")
	keep := fs.Bool("keep", false, "keep the topics, and the folder with configuration and logs")
	asJSON := fs.Bool("json", false, "print JSON instead of a table")
	timeout := timeoutFlag(fs)
	if err := parse(fs, args); err != nil {
		return err
	}
	if *repeat < 1 || *warm < 0 {
		return errUsage{fmt.Errorf("-repeat %d -warm %d: want at least 1 and 0", *repeat, *warm)}
	}
	if err := cfg.Validate(); err != nil {
		return errUsage{err}
	}
	if !*floorsOnly {
		if err := program(*nudged); err != nil {
			return err
		}
	}
	b, rep, err := prepare(ctx, *cfg, !*floorsOnly, *keep)
	if err != nil {
		return err
	}
	b.timeout = *timeout
	if !*floorsOnly {
		b.nudged = *nudged
	}
	defer func() {
		if closeErr := b.close(ctx, err != nil); err == nil {
			err = closeErr
		}
	}()

	for n := 1; n <= *warm+*repeat; n++ {
		kind := fmt.Sprintf("round %d of %d", n-*warm, *repeat)
		if n <= *warm {
			kind = fmt.Sprintf("warm-up round %d of %d", n, *warm)
		}
		r, err := b.round(ctx, n)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		fmt.Fprintf(b.progress, "%s: %s\n", kind, r.line())
		if n <= *warm {
			rep.WarmUps = append(rep.WarmUps, r)
		} else {
			rep.Rounds = append(rep.Rounds, r)
		}
	}
	rep.summarize()
	if *asJSON {
		err = rep.writeJSON(out)
	} else {
		err = rep.writeTable(out)
	}
	if err == nil && !rep.OK {
		return errVerification
	}
	return err
}

// prepare loads the events and works out what is owed for them.
func prepare(ctx context.Context, cfg workload.Config, needRedis, keep bool) (*bench, *report, error) {
	s, err := findServices(needRedis)
	if err != nil {
		return nil, nil, err
	}
	if needRedis {
		if err := s.check(ctx); err != nil {
			return nil, nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find the benchmark's own program: %w", err)
	}
	dir, err := os.MkdirTemp("", "nudged-bench-")
	if err != nil {
		return nil, nil, err
	}
	tag := newTag(time.Now())
	b := &bench{
		services: s, self: self, events: "bench-events-" + tag, partitions: cfg.Partitions, records: int64(cfg.Events),
		tag: tag, dir: dir, keep: keep, progress: os.Stderr,
	}
	started := time.Now()
	if b.owed, err = load.Owed(cfg); err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(b.progress, "oracle: %s (%.1f s)\n", describe(b.owed), time.Since(started).Seconds())

	if err := load.Create(ctx, s.brokers, cfg.Partitions, b.events); err != nil {
		return nil, nil, err
	}
	g, err := workload.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	started = time.Now()
	bytes, err := load.Produce(ctx, s.brokers, b.events, g, nil)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(b.progress, "loaded: %d records, %d bytes of JSON, into topic %s (%.1f s)\n", cfg.Events, bytes, b.events, time.Since(started).Seconds())
	rep := &report{
		When: started.UTC().Truncate(time.Second), Tag: tag, Go: runtime.Version(), CPUs: runtime.NumCPU(),
		Workload: cfg, Bytes: bytes, Owed: owedFigures(b.owed),
		KnowsBroker: s.kafkaPID != 0, KnowsRedis: s.redisPID != 0,
	}
	return b, rep, nil
}

// newTag tells the topics and groups of this run from those of others.
func newTag(now time.Time) string { return strconv.FormatInt(now.UnixMilli(), 36) }

// close removes what the run made. After a failure the folder stays, for its logs.
func (b *bench) close(ctx context.Context, failed bool) error {
	if b.keep {
		fmt.Fprintf(b.progress, "kept: topics bench-*-%s*, folder %s\n", b.tag, b.dir)
		return nil
	}
	if failed {
		fmt.Fprintf(b.progress, "kept: folder %s\n", b.dir)
	} else if err := os.RemoveAll(b.dir); err != nil {
		return err
	}
	return load.Delete(context.WithoutCancel(ctx), b.services.brokers, b.events)
}

// describe is the oracle's result in one line.
func describe(r oracle.Result) string {
	return fmt.Sprintf("%d events (%d repeated) of %d users owe %d sends; decisions %+v; %d instances pending at the end",
		r.Events, r.Repeated, r.Users, len(r.Sends), r.Decisions, r.Pending)
}
