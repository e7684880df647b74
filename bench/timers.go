package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/nudged/nudged/bench/load"
	"github.com/nudged/nudged/bench/measure"
)

// timersConfig is how much of everything.
type timersConfig struct {
	Pending    int           `json:"pending"` // users, each with a timer due in weeks
	Partitions int           `json:"partitions"`
	Rate       int           `json:"rate"` // events a second; half of them set a timer of ten seconds
	Seconds    int           `json:"seconds"`
	Burst      int           `json:"burst"`   // due in one second
	Overdue    int           `json:"overdue"` // due while nudged is down
	Down       time.Duration `json:"down_ns"`
	Lead       time.Duration `json:"lead_ns"` // from which on timers are set before they are due at once
	StartOnly  bool          `json:"start_only"`
}

// timersFound is what a run found.
type timersFound struct {
	Config        timersConfig        `json:"config"`
	Backlog       measure.Usage       `json:"backlog"` // nudged over the backlog that sets the pending timers
	BacklogRate   float64             `json:"backlog_events_per_s"`
	Redis         measure.RedisMemory `json:"redis"`
	BytesPerTimer float64             `json:"redis_bytes_per_timer"`
	BytesPerUser  float64             `json:"redis_bytes_per_user"`
	StartSeconds  float64             `json:"start_to_first_send_s"`

	SteadyFired, SteadyVisible   latencies
	InBurstFired, InBurstVisible latencies
	BurstSeconds                 float64 `json:"burst_all_visible_s"` // after the second in which they are due began
	OverdueStart                 float64 `json:"overdue_first_visible_s"`
	OverdueSeconds               float64 `json:"overdue_all_visible_s"` // after nudged was started

	Live, After measure.Usage // nudged until it was stopped, and after that
	Verdict     timersVerdict `json:"verdict"`
}

func timersCommand(ctx context.Context, args []string, out io.Writer) error {
	return timersRunCommand(ctx, "timers", args, out)
}

func startCommand(ctx context.Context, args []string, out io.Writer) error {
	return timersRunCommand(ctx, "start", args, out)
}

func timersRunCommand(ctx context.Context, name string, args []string, out io.Writer) error {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	cfg := timersConfig{StartOnly: name == "start"}
	nudged := nudgedFlag(fs)
	fs.IntVar(&cfg.Partitions, "partitions", 12, "partitions of each topic")
	if cfg.StartOnly {
		fs.IntVar(&cfg.Pending, "users", 1_000_000, "users in Redis, each with a timer due in weeks")
	} else {
		fs.IntVar(&cfg.Pending, "pending", 5_000_000, "users, each with a timer due in weeks")
		fs.IntVar(&cfg.Rate, "rate", 2000, "events per second; half of them set a timer of ten seconds")
		fs.IntVar(&cfg.Seconds, "seconds", 30, "length of the steady part")
		fs.IntVar(&cfg.Burst, "burst", 50_000, "timers due in one second")
		fs.IntVar(&cfg.Overdue, "overdue", 360_000, "timers due while nudged is down: an hour's of 100 a second")
		fs.DurationVar(&cfg.Lead, "lead", 10*time.Second, "how long there is to set the timers of a burst; a slow machine needs more")
		fs.DurationVar(&cfg.Down, "down", 30*time.Second, "how long it is down")
	}
	keep := fs.Bool("keep", false, "keep the topics, and the folder with configuration and logs")
	asJSON := fs.Bool("json", false, "print JSON")
	timeout := timeoutFlag(fs)
	if err := parse(fs, args); err != nil {
		return err
	}
	if cfg.Pending < 1 || cfg.Partitions < 1 || cfg.Rate < 0 || cfg.Burst < 0 || cfg.Overdue < 0 || cfg.Seconds < 0 {
		return errUsage{errors.New("the numbers must not be negative, and there must be users and partitions")}
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
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	r := timersRun{services: s, nudged: *nudged, cfg: cfg, keep: *keep, progress: os.Stderr, owed: newPromises()}
	found, err := r.run(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(out).Encode(found)
	} else {
		found.write(out)
	}
	if err == nil && !found.Verdict.ok() {
		return errVerification
	}
	return err
}

type timersRun struct {
	services services
	nudged   string
	cfg      timersConfig
	keep     bool
	progress io.Writer
	owed     *promises

	topics             load.Topics
	group, dir, config string
	shop               *shopper
	starts             int
}

func (r *timersRun) say(format string, args ...any) {
	fmt.Fprintf(r.progress, format+"\n", args...)
}

func (r *timersRun) run(ctx context.Context) (found timersFound, err error) {
	found.Config = r.cfg
	tag := newTag(time.Now())
	r.topics, r.group = load.OutputTopics(tag), "bench-nudged-"+tag
	r.topics.Events = "bench-events-" + tag
	all := append(r.topics.Outputs(), r.topics.Events)
	brokers := r.services.brokers
	if err := load.Create(ctx, brokers, r.cfg.Partitions, all...); err != nil {
		return found, err
	}
	if r.dir, err = os.MkdirTemp("", "nudged-bench-"); err != nil {
		return found, err
	}
	defer func() {
		if r.keep || err != nil {
			r.say("kept: folder %s", r.dir)
		} else {
			err = os.RemoveAll(r.dir)
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
	addr, err := freeAddr()
	if err != nil {
		return found, err
	}
	// docs/operations.md: about half of what a packed hash holds.
	s := settings{
		services: r.services, topics: r.topics, group: r.group, clock: "wall", http: addr,
		rules: timerRulesFile, buckets: max(1024, r.cfg.Pending/r.cfg.Partitions/64),
	}
	if r.config, err = s.write(r.dir); err != nil {
		return found, err
	}
	sender, err := load.NewSender(brokers, r.topics.Events)
	if err != nil {
		return found, err
	}
	defer sender.Close()
	r.shop = &shopper{sender: sender, users: r.cfg.Pending, owed: r.owed}

	if err := r.backlog(ctx, &found); err != nil {
		return found, err
	}
	if found.Redis, err = measure.Redis(ctx, rdb); err != nil {
		return found, err
	}
	found.BytesPerTimer = float64(found.Redis.ByClass[measure.Timers].Bytes) / float64(r.cfg.Pending)
	found.BytesPerUser = float64(found.Redis.ByClass[measure.States].Bytes) / float64(r.cfg.Pending)
	r.say("Redis: %.1f bytes a timer, %.1f bytes a user", found.BytesPerTimer, found.BytesPerUser)

	watchCtx, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- watchSends(watchCtx, brokers, r.topics.Sends, r.owed) }()
	err = r.live(ctx, &found)
	stop()
	if err = errors.Join(err, <-watched); err != nil {
		return found, err
	}
	found.Verdict = r.owed.verdict()
	ends, err := load.EndOffsets(ctx, brokers, r.topics.DeadLetters)
	for _, end := range ends {
		found.Verdict.DeadLetters += end
	}
	return found, err
}

// running is nudged at work.
type running struct {
	child *measure.Child
	log   string
	since time.Time
}

func (r *timersRun) start(ctx context.Context) (*running, error) {
	r.starts++
	n := &running{log: filepath.Join(r.dir, fmt.Sprintf("nudged-%d.log", r.starts)), since: time.Now()}
	log, err := os.Create(n.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the benchmark's own program: %w", err)
	}
	n.child, err = measure.Start(ctx, self, []string{measuredName}, []string{r.nudged, "run", "--config", r.config}, log, log)
	return n, err
}

func (n *running) stop() (measure.Usage, error) {
	stopErr := n.child.Stop()
	u, err := n.child.Wait()
	if err = errors.Join(stopErr, err); err == nil && u.ExitCode != 0 {
		err = fmt.Errorf("nudged ended with exit code %d; it said:\n%s", u.ExitCode, tail(n.log, 20))
	}
	return u, err
}

// taken waits until nudged has committed all that the topic holds now.
func (r *timersRun) taken(ctx context.Context) error {
	ends, err := load.EndOffsets(ctx, r.services.brokers, r.topics.Events)
	if err != nil {
		return err
	}
	for {
		at, err := load.Committed(ctx, r.services.brokers, r.group, r.topics.Events)
		if err != nil {
			return err
		}
		left := int64(0)
		for p, end := range ends {
			left += max(end-at[p], 0)
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d events are not taken in: %w", left, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// come waits until all sends of the phases are visible.
func (r *timersRun) come(ctx context.Context, phases ...phase) error {
	for r.owed.missing(phases...) > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d sends are missing: %w", r.owed.missing(phases...), ctx.Err())
		case <-r.owed.changed:
		}
	}
	return nil
}

// backlog sets the pending timers.
func (r *timersRun) backlog(ctx context.Context, found *timersFound) error {
	began := time.Now()
	if err := r.shop.park(ctx); err != nil {
		return err
	}
	r.say("loaded: %d events (%.1f s)", r.cfg.Pending, time.Since(began).Seconds())
	n, err := r.start(ctx)
	if err != nil {
		return err
	}
	err = r.taken(ctx)
	took := time.Since(n.since)
	found.Backlog, err = joinStop(n, err)
	found.BacklogRate = float64(r.cfg.Pending) / took.Seconds()
	r.say("taken in: %.1f s, CPU %.1f s, peak memory %.0f MB", took.Seconds(), found.Backlog.CPUSeconds, float64(found.Backlog.PeakRSS)/mb)
	return err
}

// joinStop stops nudged whatever has gone before.
func joinStop(n *running, before error) (measure.Usage, error) {
	u, err := n.stop()
	return u, errors.Join(before, err)
}

// live measures what goes on with all of that pending.
func (r *timersRun) live(ctx context.Context, found *timersFound) error {
	asked := time.Now().Truncate(time.Millisecond)
	r.shop.event(ctx, "atonce", 0, asked, func(id string) {
		r.owed.owe(id, promise{rule: "atonce", user: userName(0), due: asked.UnixMilli(), phase: probe})
	})
	if err := r.shop.sender.Flush(ctx); err != nil {
		return err
	}
	n, err := r.start(ctx)
	if err != nil {
		return err
	}
	if err = r.come(ctx, probe); err == nil {
		found.StartSeconds = r.owed.last(probe).Sub(n.since).Seconds()
		r.say("start-up: the event that waited was visible as a send after %.2f s", found.StartSeconds)
		if !r.cfg.StartOnly {
			return r.traffic(ctx, n, found)
		}
	}
	found.Live, err = joinStop(n, err)
	return err
}

// traffic runs the steady events, and over them what is due all at once.
func (r *timersRun) traffic(ctx context.Context, n *running, found *timersFound) error {
	steadyCtx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.shop.steady(steadyCtx, r.cfg.Rate) }()
	err := r.rush(ctx, found)
	if err == nil && r.cfg.Overdue > 0 {
		n, err = r.outage(ctx, n, found)
	}
	stop()
	if err = errors.Join(err, <-ended); err == nil {
		err = r.come(ctx, unmeasured, steady, inBurst)
	}
	if n == nil {
		return err
	}
	u, err := joinStop(n, err)
	if r.cfg.Overdue > 0 {
		found.After = u
	} else {
		found.Live = u
	}
	return err
}

// pass sets what the steady traffic is measured for, for so long.
func (r *timersRun) pass(ctx context.Context, of phase, d time.Duration) error {
	r.shop.phase.Store(int64(of))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// rush measures the steady traffic alone, and then while many are due at once.
func (r *timersRun) rush(ctx context.Context, found *timersFound) error {
	if err := r.pass(ctx, unmeasured, 5*time.Second); err != nil {
		return err
	}
	if err := r.pass(ctx, steady, time.Duration(r.cfg.Seconds)*time.Second); err != nil {
		return err
	}
	// Armed while what is still measured as steady has come due.
	if err := r.pass(ctx, inBurst, soonWait); err != nil {
		return err
	}
	if err := r.come(ctx, steady); err != nil {
		return err
	}
	found.SteadyFired, found.SteadyVisible = r.owed.lateness(steady)
	r.say("steady: fired %v late", found.SteadyFired)
	if r.cfg.Burst == 0 {
		return nil
	}
	due := time.Now().Add(r.cfg.Lead).Truncate(time.Second)
	if err := r.shop.later(ctx, r.cfg.Burst, due, time.Second, burst); err != nil {
		return err
	}
	if late := time.Since(due); late > 0 {
		return fmt.Errorf("setting %d timers took %v longer than they wait: this machine is too slow for so many", r.cfg.Burst, late)
	}
	if err := r.come(ctx, burst); err != nil {
		return err
	}
	found.BurstSeconds = r.owed.last(burst).Sub(due).Seconds()
	if err := r.pass(ctx, unmeasured, soonWait); err != nil {
		return err
	}
	if err := r.come(ctx, inBurst); err != nil {
		return err
	}
	found.InBurstFired, found.InBurstVisible = r.owed.lateness(inBurst)
	r.say("burst: all %d visible %.2f s after the second began", r.cfg.Burst, found.BurstSeconds)
	return nil
}

// outage stops nudged while many timers fall due, and measures what comes after.
// It returns the nudged that runs then, nil if none does.
func (r *timersRun) outage(ctx context.Context, n *running, found *timersFound) (*running, error) {
	wait := r.cfg.Lead + time.Duration(r.cfg.Overdue/20_000)*time.Second
	due := time.Now().Add(wait)
	err := r.shop.later(ctx, r.cfg.Overdue, due, r.cfg.Down, overdue)
	if err == nil {
		err = r.taken(ctx)
	}
	if found.Live, err = joinStop(n, err); err != nil {
		return nil, err
	}
	if late := time.Since(due); late > 0 {
		return nil, fmt.Errorf("setting %d timers took %v longer than they wait: this machine is too slow for so many", r.cfg.Overdue, late)
	}
	if err := r.pass(ctx, unmeasured, time.Until(due.Add(r.cfg.Down))); err != nil {
		return nil, err
	}
	if n, err = r.start(ctx); err != nil {
		return nil, err
	}
	first := r.owed.missing(overdue)
	for r.owed.missing(overdue) == first && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.owed.changed:
		}
	}
	found.OverdueStart = time.Since(n.since).Seconds()
	if err := r.come(ctx, overdue); err != nil {
		return n, err
	}
	found.OverdueSeconds = r.owed.last(overdue).Sub(n.since).Seconds()
	r.say("overdue: all %d visible %.2f s after the start", r.cfg.Overdue, found.OverdueSeconds)
	return n, nil
}

func (f *timersFound) write(out io.Writer) {
	usage := func(what string, u measure.Usage) {
		fmt.Fprintf(out, "%-22s CPU %.1f s in %.1f s, peak memory %.0f MB\n", what, u.CPUSeconds, u.WallSeconds, float64(u.PeakRSS)/mb)
	}
	fmt.Fprintf(out, "backlog of %d events, each setting a timer: %.0f events/s\n", f.Config.Pending, f.BacklogRate)
	usage("  nudged", f.Backlog)
	fmt.Fprintf(out, "Redis: %.1f bytes a pending timer, %.1f bytes a user; used_memory %.0f MB\n", f.BytesPerTimer, f.BytesPerUser, float64(f.Redis.UsedMemory)/mb)
	fmt.Fprintf(out, "start-up: from the start of the process to the send of an event that waited, visible: %.2f s\n", f.StartSeconds)
	if !f.Config.StartOnly {
		fmt.Fprintf(out, "steady, %d events/s:   late when fired:   %v\n", f.Config.Rate, f.SteadyFired)
		fmt.Fprintf(out, "                        late when visible: %v\n", f.SteadyVisible)
		fmt.Fprintf(out, "%d due in one second: all visible %.2f s after it began\n", f.Config.Burst, f.BurstSeconds)
		fmt.Fprintf(out, "  steady ones meanwhile: late when fired:   %v\n", f.InBurstFired)
		fmt.Fprintf(out, "                         late when visible: %v\n", f.InBurstVisible)
		fmt.Fprintf(out, "%d due within %v while nudged was down: first visible %.2f s after its start, all %.2f s\n", f.Config.Overdue, f.Config.Down, f.OverdueStart, f.OverdueSeconds)
	}
	usage("nudged until the stop", f.Live)
	if f.After.WallSeconds > 0 {
		usage("nudged after it", f.After)
	}
	v := f.Verdict
	fmt.Fprintf(out, "verified: %d sends owed, %d missing, %d extra, twice or wrong; %d dead letters\n", v.Owed, v.Missing, v.Wrong, v.DeadLetters)
	for _, e := range v.Examples {
		fmt.Fprintln(out, "  "+e)
	}
}
