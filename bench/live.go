package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/nudged/nudged/bench/load"
	"github.com/nudged/nudged/bench/measure"
	"github.com/nudged/nudged/bench/oracle"
	"github.com/nudged/nudged/bench/workload"
)

// Live traffic: a minute has the sessions of a shop, only faster.
const (
	liveEventsPerUser = 8
	liveGap           = 2 * time.Second
	readyWithin       = time.Minute
	lastWithin        = 15 * time.Second // for commands still under way when the traffic ends
)

// live is what a live run found.
type live struct {
	Rate          int            `json:"rate"`
	Seconds       int            `json:"seconds"`
	WarmUpSeconds float64        `json:"warm_up_s"`
	FromProduce   latencies      `json:"from_produce_ms"`    // from handing the event to the producer
	FromEventTime latencies      `json:"from_event_time_ms"` // from the time the event is dated; adds what the traffic was late
	CPU           measure.Usage  `json:"nudged"`             // over its whole life
	BrokerCPU     float64        `json:"broker_cpu_s"`       // while the traffic ran
	RedisCPU      float64        `json:"redis_cpu_s"`
	Verdict       oracle.Verdict `json:"verdict"`
	OK            bool           `json:"ok"`
}

// liveCommand measures how long it takes from an event to its command being
// visible to a consumer of committed records.
func liveCommand(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("live", flag.ContinueOnError)
	nudged := nudgedFlag(fs)
	rate := fs.Int("rate", 1000, "events per second")
	seconds := fs.Int("seconds", 60, "length of the traffic")
	warmUp := fs.Duration("warmup", 5*time.Second, "commands of events in the first so much are verified, but not measured")
	partitions := fs.Int("partitions", 12, "partitions of each topic")
	seed := fs.Uint64("seed", 1, "seed of the workload")
	keep := fs.Bool("keep", false, "keep the topics, and the folder with configuration and log")
	asJSON := fs.Bool("json", false, "print JSON")
	timeout := timeoutFlag(fs)
	if err := parse(fs, args); err != nil {
		return err
	}
	cfg := workload.Default()
	cfg.Events, cfg.Partitions, cfg.Seed, cfg.Gap = *rate**seconds, *partitions, *seed, liveGap
	cfg.Users = max(1, cfg.Events/liveEventsPerUser)
	cfg.Days = float64(*seconds) / (24 * 3600)
	if err := cfg.Validate(); err != nil {
		return errUsage{fmt.Errorf("-rate %d -seconds %d: %w", *rate, *seconds, err)}
	}
	if err := program(*nudged); err != nil {
		return err
	}
	s, err := findServices(true)
	if err != nil {
		return err
	}
	if err := s.check(ctx); err != nil {
		return err
	}
	r := liveRun{services: s, nudged: *nudged, cfg: cfg, warmUp: *warmUp, timeout: *timeout, keep: *keep, progress: os.Stderr}
	found, err := r.run(ctx)
	if err != nil {
		return err
	}
	found.Rate, found.Seconds = *rate, *seconds
	if *asJSON {
		err = json.NewEncoder(out).Encode(found)
	} else {
		found.write(out)
	}
	if err == nil && !found.OK {
		return errVerification
	}
	return err
}

type liveRun struct {
	services services
	nudged   string
	cfg      workload.Config
	warmUp   time.Duration
	timeout  time.Duration
	keep     bool
	progress io.Writer
}

func (r *liveRun) run(ctx context.Context) (found live, err error) {
	tag := newTag(time.Now())
	topics := load.OutputTopics(tag)
	topics.Events = "bench-events-" + tag
	all := append(topics.Outputs(), topics.Events)
	brokers := r.services.brokers
	if err := load.Create(ctx, brokers, r.cfg.Partitions, all...); err != nil {
		return found, err
	}
	dir, err := os.MkdirTemp("", "nudged-bench-")
	if err != nil {
		return found, err
	}
	defer func() {
		if r.keep || err != nil {
			fmt.Fprintf(r.progress, "kept: folder %s\n", dir)
		} else {
			err = os.RemoveAll(dir)
		}
		if !r.keep {
			err = errors.Join(err, load.Delete(context.WithoutCancel(ctx), brokers, all...))
		}
	}()
	rdb := r.services.redis()
	defer rdb.Close()
	if err := measure.Empty(ctx, rdb); err != nil {
		return found, err
	}

	child, addr, logPath, err := r.start(ctx, dir, tag, topics)
	if err != nil {
		return found, err
	}
	ended := make(chan struct{})
	var usage measure.Usage
	var childErr error
	go func() { usage, childErr = child.Wait(); close(ended) }()
	traffic, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		<-ended
		cancel(fmt.Errorf("nudged ended early; it said:\n%s", tail(logPath, 20)))
	}()
	found, owed, err := r.traffic(traffic, addr, topics)
	if err != nil {
		err = errors.Join(err, context.Cause(traffic))
	}
	stopErr := child.Stop()
	<-ended
	if err = errors.Join(err, stopErr, childErr); err != nil {
		return found, err
	}
	if usage.ExitCode != 0 {
		return found, fmt.Errorf("nudged ended with exit code %d when asked to stop; it said:\n%s", usage.ExitCode, tail(logPath, 20))
	}
	found.CPU = usage
	readCtx, stop := context.WithTimeout(ctx, r.timeout)
	defer stop()
	found.Verdict, err = load.Check(readCtx, brokers, topics, owed)
	found.OK = found.Verdict.OK()
	return found, err
}

func (r *liveRun) start(ctx context.Context, dir, tag string, topics load.Topics) (child *measure.Child, addr, logPath string, err error) {
	if addr, err = freeAddr(); err != nil {
		return nil, "", "", err
	}
	s := settings{services: r.services, topics: topics, group: "bench-nudged-" + tag, clock: "wall", http: addr}
	config, err := s.write(dir)
	if err != nil {
		return nil, "", "", err
	}
	logPath = filepath.Join(dir, "nudged.log")
	log, err := os.Create(logPath)
	if err != nil {
		return nil, "", "", err
	}
	defer log.Close() // the child has its own
	self, err := os.Executable()
	if err != nil {
		return nil, "", "", fmt.Errorf("find the benchmark's own program: %w", err)
	}
	child, err = measure.Start(ctx, self, []string{measuredName}, []string{r.nudged, "run", "--config", config}, log, log)
	return child, addr, logPath, err
}

// traffic waits until nudged is ready, runs the workload in real time, and
// returns what its commands took and what the oracle owes.
func (r *liveRun) traffic(ctx context.Context, addr string, topics load.Topics) (found live, owed oracle.Result, err error) {
	if err := ready(ctx, "http://"+addr+"/readyz"); err != nil {
		return found, owed, err
	}
	cfg := r.cfg
	cfg.Start = time.Now().Add(2 * time.Second) // the oracle and the watcher come first
	if owed, err = load.Owed(cfg); err != nil {
		return found, owed, err
	}
	fmt.Fprintf(r.progress, "oracle: %s\n", describe(owed))
	g, err := workload.New(cfg)
	if err != nil {
		return found, owed, err
	}
	watch, err := newWatcher(r.services.brokers, topics, cfg.Events, owed, cfg.Start.Add(r.warmUp))
	if err != nil {
		return found, owed, err
	}
	watched := make(chan error, 1)
	watchCtx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { watched <- watch.run(watchCtx) }()
	before, err := r.services.clocks()
	if err != nil {
		return found, owed, err
	}
	if err := load.Paced(ctx, r.services.brokers, topics.Events, g, watch.produced); err != nil {
		return found, owed, err
	}
	after, err := r.services.clocks()
	if err != nil {
		return found, owed, err
	}
	// What does not come in time is reported as missing.
	last := time.AfterFunc(lastWithin, stop)
	defer last.Stop()
	if err := <-watched; err != nil {
		return found, owed, err
	}
	found = live{
		WarmUpSeconds: r.warmUp.Seconds(),
		FromProduce:   watch.fromProduce.latencies(), FromEventTime: watch.fromEvent.latencies(),
		BrokerCPU: after.broker - before.broker, RedisCPU: after.redis - before.redis,
	}
	return found, owed, nil
}

// ready waits until the daemon says that it is.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	last := errors.New("it was not asked")
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(res.Status)
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nudged was not ready within %v (%s): %w", readyWithin, url, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l live) write(out io.Writer) {
	fmt.Fprintf(out, "%d events/s for %d s; commands of the first %.0f s not measured\n", l.Rate, l.Seconds, l.WarmUpSeconds)
	fmt.Fprintf(out, "from event to visible command:           %v\n", l.FromProduce)
	fmt.Fprintf(out, "counted from the time the event is dated: %v\n", l.FromEventTime)
	fmt.Fprintf(out, "CPU: nudged %.1f s in its %.1f s; during the traffic broker %.1f s, Redis %.1f s; nudged's peak memory %.0f MB\n",
		l.CPU.CPUSeconds, l.CPU.WallSeconds, l.BrokerCPU, l.RedisCPU, float64(l.CPU.PeakRSS)/mb)
	writeVerdict(out, "live", l.Verdict)
}
