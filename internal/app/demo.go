package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/examples"
	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/embedded"
	"github.com/nudged/nudged/internal/story"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules/eventtime"
	"github.com/nudged/nudged/sinks"
)

// Demo runs the whole thing with nothing installed: Kafka and Redis in this
// process, a made-up shop's ten days on a fast clock.
type Demo struct {
	Out io.Writer
	// Duration is how long the ten days take.
	Duration time.Duration
	// Serve keeps everything up afterwards, on the present time.
	Serve bool
}

const demoDays = 10

// demoClock runs from a made-up start, many times faster than time itself.
type demoClock struct {
	mu      sync.Mutex
	start   time.Time // of the made-up days
	began   time.Time // when it was started; zero: it stands at start
	speed   float64
	present bool // the made-up days are over
}

func (c *demoClock) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.present {
		return time.Now().UnixMilli()
	}
	if c.began.IsZero() {
		return c.start.UnixMilli()
	}
	passed := float64(time.Since(c.began)) * c.speed
	return c.start.UnixMilli() + min(int64(passed)/int64(time.Millisecond), demoDays*shopDayMS)
}

func (c *demoClock) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began = time.Now()
}

func (c *demoClock) toPresent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.present = true
}

// Run plays the demo.
func (d *Demo) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg, stop, err := d.embed()
	if err != nil {
		return err
	}
	defer stop()
	// The days end now, so that with Serve the present follows on.
	start := time.Now().UTC().Truncate(time.Hour).Add(-demoDays * 24 * time.Hour)
	clock := &demoClock{start: start, speed: demoDays * 24 * float64(time.Hour) / float64(d.Duration)}
	fmt.Fprintf(d.Out, "nudged demo: Kafka and Redis run inside this process; %d days of a made-up shop pass in %s.\n\n",
		demoDays, d.Duration)

	var counters *processor.Counters
	ready := make(chan struct{})
	daemon := Daemon{
		Config: cfg, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Stdout: d.Out, Now: clock.now,
		Ready: func(_ *processor.Processor, c *processor.Counters) { counters = c; close(ready) },
	}
	daemonCtx, stopDaemon := context.WithCancel(ctx)
	defer stopDaemon()
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(daemonCtx) }()
	select {
	case err := <-ended:
		return err
	case <-ready:
	}
	watched, err := watchDecisions(ctx, &cfg)
	if err != nil {
		return err
	}
	defer watched.close()
	events := shopTraffic(start, demoDays)
	clock.begin()
	if err := d.play(ctx, &cfg, clock, events, counters); err != nil {
		return err
	}
	if err := watched.settle(ctx, counters); err != nil {
		return err
	}
	d.report(watched.all())
	if err := d.story(ctx, &cfg, clock.now, watched.all(), events); err != nil {
		return err
	}
	if d.Serve {
		clock.toPresent()
		fmt.Fprintf(d.Out, "\nKafka listens at %s: produce to topic %q, read %q. Ctrl-C ends.\n",
			strings.Join(config.Strings(cfg.Kafka.Brokers), ","), cfg.Kafka.Topics.Events[0], cfg.Kafka.Topics.Sends)
		select {
		case <-ctx.Done():
		case err := <-ended:
			return err
		}
	}
	stopDaemon()
	return <-ended
}

// embed starts Kafka and Redis in this process and writes the rules to a file.
func (d *Demo) embed() (cfg config.Config, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range slices.Backward(stops) {
			s()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	cfg = config.Default()
	t := &cfg.Kafka.Topics
	addrs, stopKafka, err := embedded.StartKafka(map[string]int32{t.Events[0]: 4, t.Sends: 4, t.Decisions: 4, t.DeadLetters: 4})
	if err != nil {
		return cfg, nil, err
	}
	stops = append(stops, stopKafka)
	cfg.Kafka.Brokers = nil
	for _, a := range addrs {
		cfg.Kafka.Brokers = append(cfg.Kafka.Brokers, config.Address(a))
	}
	redisAddr, stopRedis, err := embedded.Redis()
	if err != nil {
		return cfg, nil, err
	}
	stops = append(stops, stopRedis)
	cfg.Redis.Addrs = []config.Address{config.Address(redisAddr)}
	dir, err := os.MkdirTemp("", "nudged-demo-")
	if err != nil {
		return cfg, nil, err
	}
	stops = append(stops, func() { os.RemoveAll(dir) })
	cfg.Rules = filepath.Join(dir, "rules.yaml")
	cfg.HTTP.Addr = ""
	return cfg, stop, os.WriteFile(cfg.Rules, examples.Cart, 0o600)
}

// play sends the shop's events at the clock's pace and tells how it goes.
func (d *Demo) play(ctx context.Context, cfg *config.Config, clock *demoClock, events []shopEvent, counters *processor.Counters) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(config.Strings(cfg.Kafka.Brokers)...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed error
	var mu sync.Mutex
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	lastLine, lastEvents := time.Now(), int64(0)
	for next := 0; ; {
		now := clock.now()
		for ; next < len(events) && events[next].at <= now; next++ {
			e := &events[next]
			cl.Produce(ctx, &kgo.Record{Topic: cfg.Kafka.Topics.Events[0], Key: []byte(e.user), Value: e.value, Timestamp: time.UnixMilli(e.at)},
				func(_ *kgo.Record, err error) {
					mu.Lock()
					defer mu.Unlock()
					failed = cmp.Or(failed, err)
				})
		}
		day := float64(now-clock.start.UnixMilli()) / shopDayMS
		if since := time.Since(lastLine); since >= time.Second || day >= demoDays {
			n := counters.Events.Load()
			fmt.Fprintf(d.Out, "day %4.1f  %7d events  %7.0f events/s  %6d decisions  %5d sent\n",
				day, n, float64(n-lastEvents)/since.Seconds(), counters.Decisions.Load(), counters.Sent.Load())
			lastLine, lastEvents = time.Now(), n
		}
		mu.Lock()
		err := failed
		mu.Unlock()
		if err != nil {
			return err
		}
		if day >= demoDays {
			return cl.Flush(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// decisionWatch reads the decisions topic as they become visible.
type decisionWatch struct {
	cl   *kgo.Client
	done chan struct{}
	stop context.CancelFunc

	mu   sync.Mutex
	list []sinks.Message
	more chan struct{}
}

func watchDecisions(ctx context.Context, cfg *config.Config) (*decisionWatch, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(config.Strings(cfg.Kafka.Brokers)...), kgo.ConsumeTopics(cfg.Kafka.Topics.Decisions),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &decisionWatch{cl: cl, done: make(chan struct{}), stop: cancel, more: make(chan struct{}, 1)}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				var m sinks.Message
				if json.Unmarshal(r.Value, &m) == nil {
					w.mu.Lock()
					w.list = append(w.list, m)
					w.mu.Unlock()
				}
			})
			select {
			case w.more <- struct{}{}:
			default:
			}
		}
	}()
	return w, nil
}

func (w *decisionWatch) close() {
	w.stop()
	<-w.done
	w.cl.Close()
}

func (w *decisionWatch) all() []sinks.Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// settle waits until everything decided has been read.
func (w *decisionWatch) settle(ctx context.Context, counters *processor.Counters) error {
	deadline := time.After(time.Minute)
	quiet := time.NewTicker(300 * time.Millisecond)
	defer quiet.Stop()
	for last := int64(-1); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return errors.New("the decisions did not all become visible within a minute")
		case <-quiet.C:
		}
		decided := counters.Decisions.Load()
		if decided == last && int64(len(w.all())) >= decided {
			return nil
		}
		last = decided
	}
}

// report tells what came of it.
func (d *Demo) report(decisions []sinks.Message) {
	type row struct{ rule, arm, decision string }
	counts := map[row]int{}
	for _, m := range decisions {
		counts[row{m.Rule, m.Arm, m.Decision}]++
	}
	rows := make([]row, 0, len(counts))
	for r := range counts {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.arm, b.arm), cmp.Compare(a.decision, b.decision))
	})
	fmt.Fprintf(d.Out, "\nWhat was decided, per rule and arm of its experiment (control is not sent to):\n")
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(d.Out)
	t.AppendHeader(table.Row{"rule", "arm", "decision", "users' moments"})
	for _, r := range rows {
		t.AppendRow(table.Row{r.rule, cmp.Or(r.arm, "-"), r.decision, counts[r]})
	}
	t.Render()
}

// story tells of one user to whom a nudge went out that had waited, the one with
// the fewest events: as nudged explain does, with the events beside.
func (d *Demo) story(ctx context.Context, cfg *config.Config, now func() int64, decisions []sinks.Message, events []shopEvent) error {
	count := map[string]int{}
	for i := range events {
		count[events[i].user]++
	}
	user := ""
	for _, m := range decisions {
		if m.Decision == "sent" && m.Rule == "cart_abandoned" && (user == "" || count[m.User] < count[user]) {
			user = m.User
		}
	}
	if user == "" {
		return nil
	}
	explain := Explain{Config: *cfg, User: user, Now: now}
	a, err := explain.Run(ctx)
	if err != nil {
		return err
	}
	for i := range events {
		if e := &events[i]; e.user == user {
			a.Events = append(a.Events, story.Happened{At: string(eventtime.AppendRFC3339(nil, e.at)), Words: strings.ReplaceAll(e.kind, "_", " ") + e.about})
		}
	}
	fmt.Fprintf(d.Out, "\nThe story of %s, as nudged explain --user %s tells it:\n\n", user, user)
	a.Print(d.Out)
	return nil
}
