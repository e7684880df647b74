package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nudged/nudged/internal/chaos/services"
)

// drainPatience bounds the wait for what has to come once everything is whole again.
const drainPatience = 3 * time.Minute

// stage is the services of a run, with all that happens on them.
type stage struct {
	options
	dir       string
	proxies   *services.Proxies
	kafka     *services.Kafka
	redis     *services.Redis
	worlds    []*world // of this round
	round     int
	began     time.Time
	faultless time.Time     // when the faults of this round were over
	whole     time.Duration // from then on until the services were
	exits     atomic.Int64  // of processes that could not start

	// rest lets time go by between two faults.
	rest func(context.Context, time.Duration)

	// redisTurn is held by whoever does something to the master of Redis.
	redisTurn sync.Mutex

	mu     sync.Mutex
	out    io.Writer
	faults map[string]int
	missed int     // steps of the protocol that were not reached in time
	broken []error // what the run itself could not do
}

// options say what to run.
type options struct {
	seed      uint64
	duration  time.Duration
	clocks    []string
	brokers   int
	processes int      // of each world
	only      []string // faults, nil: all
	without   []string
	keep      bool   // the folder, whatever comes out
	root      string // of the module
	program   string // nudged, built with the tag chaos
	quiet     bool   // only what comes out
}

// open brings the services up.
func open(ctx context.Context, o options, out io.Writer) (*stage, error) {
	s := &stage{options: o, out: out, rest: sleep, faults: map[string]int{}, began: time.Now(), proxies: services.NewProxies()}
	programs, err := services.FindPrograms(ctx, o.root)
	if err != nil {
		return s, err
	}
	if s.dir, err = os.MkdirTemp("", "nudged-chaos-"); err != nil {
		return s, err
	}
	s.say("logs and data in %s", s.dir)
	if s.redis, err = services.StartRedis(ctx, programs, s.dir, s.proxies); err != nil {
		return s, err
	}
	if s.kafka, err = services.StartKafka(ctx, programs, s.dir, o.brokers, s.proxies); err != nil {
		return s, err
	}
	s.say("%d brokers, 2 Redis servers are up", o.brokers)
	return s, nil
}

// close ends all that runs. keep leaves the folder, as does the option of this name.
func (s *stage) close(keep bool) {
	for _, w := range s.worlds {
		for _, d := range append(w.daemons, w.third) {
			d.Kill()
		}
	}
	s.proxies.Stop()
	if s.kafka != nil {
		s.kafka.Close()
	}
	if s.redis != nil {
		s.redis.Close()
	}
	if !keep && !s.keep && s.dir != "" {
		if err := os.RemoveAll(s.dir); err != nil {
			s.say("remove %s: %v", s.dir, err)
		}
	}
}

// say prints a line of what happens.
func (s *stage) say(format string, args ...any) {
	if s.quiet {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%7.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// pause lets time go by.
func (s *stage) pause(d time.Duration) { <-time.After(d) }

func (s *stage) over(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// fail notes that the run itself is broken: what it finds is worth nothing.
func (s *stage) fail(err error) {
	if err == nil {
		return
	}
	s.say("THE RUN IS BROKEN: %v", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, err)
}

func (s *stage) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.broken...)
}

// run plays a round and says what came of it.
func (s *stage) run(ctx context.Context) (*report, error) {
	s.round++
	s.worlds = nil
	for i, clock := range s.clocks {
		w, err := s.newWorld(ctx, clock, s.seed+uint64(i), s.processes)
		if err != nil {
			return nil, err
		}
		s.worlds = append(s.worlds, w)
	}
	if err := s.kafka.Healed(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.faults, s.missed = map[string]int{}, 0
	s.mu.Unlock()
	s.exits.Store(0)
	stop := make(chan struct{})
	var keeping sync.WaitGroup
	for _, w := range s.worlds {
		for _, d := range w.daemons {
			if err := d.start(); err != nil {
				return nil, err
			}
			keeping.Go(func() { d.keepUp(w, stop) })
		}
	}
	playing, end := context.WithTimeout(ctx, s.duration)
	defer end()
	var acting sync.WaitGroup
	for _, w := range s.worlds {
		acting.Go(func() { s.fail(w.produce(playing)) })
	}
	s.play(playing)
	acting.Wait()
	s.say("the faults are over")
	s.faultless = time.Now()
	s.fail(s.heal(ctx))
	if err := s.failure(); err != nil {
		close(stop)
		return nil, err
	}
	s.say("services are whole")
	s.whole = time.Since(s.faultless)
	waits := make([]error, len(s.worlds))
	for i, w := range s.worlds {
		acting.Go(func() {
			waits[i] = w.settled(ctx)
			w.recovered = time.Since(s.faultless)
		})
	}
	acting.Wait()
	s.say("stopping the processes")
	close(stop)
	for _, w := range s.worlds {
		for _, d := range w.daemons {
			acting.Go(func() { s.end(w, d) })
		}
	}
	acting.Wait()
	for _, w := range s.worlds {
		if err := w.closed(ctx); err != nil {
			w.problem("%v", err)
		}
	}
	for _, w := range s.worlds {
		for _, d := range w.daemons {
			d.Kill() // what has ended is left alone
		}
	}
	keeping.Wait()
	return s.judge(ctx, errors.Join(waits...))
}

// heal mends all that may still be broken.
func (s *stage) heal(ctx context.Context) error {
	for _, b := range s.kafka.Brokers {
		if err := b.Proxy.Mend(); err != nil {
			return err
		}
	}
	for _, w := range s.worlds {
		for _, d := range append(w.daemons, w.third) {
			if err := errors.Join(d.front.Mend(), d.order("")); err != nil {
				return err
			}
		}
	}
	return errors.Join(s.kafka.Problem(), s.redis.Problem(), s.kafka.Healed(ctx), s.redis.Healed(ctx))
}

// end asks a process to stop, which has to succeed.
func (s *stage) end(w *world, d *daemon) {
	d.turn.Lock()
	defer d.turn.Unlock()
	if !d.Running() {
		return
	}
	if !d.Terminate(stopPatience) {
		w.problem("%s has not ended %s after SIGTERM", d.Name, stopPatience)
	} else if code := d.Ended().ExitCode(); code != 0 && strings.Contains(d.said(), `"health checks"`) { // before that it is killed by it
		w.problem("%s has ended with code %d after SIGTERM; the end of its log:\n%s", d.Name, code, d.Tail(20))
	}
}

// dice returns what decides in one of the loops.
func (s *stage) dice(loop string) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, c := range []byte(loop) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(s.seed, h))
}

// logs lists the logs of a run.
func (s *stage) logs() string { return filepath.Join(s.dir, "*.log") }
