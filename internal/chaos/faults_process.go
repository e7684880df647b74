package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// boundaries are the steps of the protocol at which a process can be told to die;
// internal/app names them.
var boundaries = []boundary{
	{"before-redis-write", anytime},
	{"after-redis-write", anytime},
	{"before-publish", anytime},
	{"after-produce", anytime},
	{"after-offsets", anytime},
	{"end-asked", anytime},
	{"after-end", anytime},
	{"before-trim", anytime},
	{"after-claim-kafka", handOver},
	{"after-claim-redis", handOver},
	{"before-wipe", loss},
	{"after-wipe", loss},
	{"after-evidence", loss},
	{"before-replay-write", loss},
	{"after-replay-write", loss},
}

type boundary struct {
	step string
	when occasion
}

// occasion is when a step is reached.
type occasion int

const (
	anytime  occasion = iota
	handOver          // when a partition changes hands
	loss              // when Redis has lost something
)

// maxStep is how far a clock is set wrong.
const maxStep = 5 * time.Second

// processFaults happen to the processes of one world.
func (s *stage) processFaults(w *world) []fault {
	some := func(dice *rand.Rand) *daemon { return w.daemons[dice.IntN(len(w.daemons))] }
	faults := []fault{
		{"kill", func(_ context.Context, dice *rand.Rand) error {
			return s.outage(some(dice), between(dice, 0, 4*time.Second), func(d *daemon) { d.Kill() })
		}},
		{"terminate", func(_ context.Context, dice *rand.Rand) error {
			return s.outage(some(dice), between(dice, 0, time.Second), func(d *daemon) {
				if !d.Terminate(stopPatience) {
					w.problem("%s has not ended %s after SIGTERM", d.Name, stopPatience)
				}
			})
		}},
		{"kill-all", func(_ context.Context, dice *rand.Rand) error {
			for _, d := range w.daemons {
				d.turn.Lock()
				defer d.turn.Unlock()
				d.Kill()
			}
			s.pause(between(dice, 0, 3*time.Second))
			for _, d := range w.daemons {
				if err := d.start(); err != nil {
					return err
				}
			}
			return nil
		}},
		{"pause", func(_ context.Context, dice *rand.Rand) error {
			some(dice).hold(s, between(dice, 500*time.Millisecond, sessionTimeout-2*time.Second))
			return nil
		}},
		{"zombie", func(_ context.Context, dice *rand.Rand) error {
			some(dice).hold(s, sessionTimeout+between(dice, time.Second, 5*time.Second))
			return nil
		}},
		{"clock-step", func(_ context.Context, dice *rand.Rand) error {
			d := some(dice)
			ms := dice.Int64N(2*maxStep.Milliseconds()+1) - maxStep.Milliseconds()
			from := time.Now().UnixMilli()
			if err := d.order(fmt.Sprintf("clock=%d\n", ms)); err != nil {
				return err
			}
			// Noted before it is over, and again when it is known when.
			w.mu.Lock()
			w.steps = append(w.steps, span{from, 1 << 62})
			at := len(w.steps) - 1
			w.mu.Unlock()
			s.pause(between(dice, 3*time.Second, 8*time.Second))
			err := d.order("")
			s.pause(time.Second) // until it has been read
			w.mu.Lock()
			w.steps[at].to = time.Now().UnixMilli()
			w.mu.Unlock()
			return err
		}},
		{"storm", func(_ context.Context, dice *rand.Rand) error { return s.storm(w, dice) }},
	}
	for _, b := range boundaries {
		faults = append(faults, fault{"die:" + b.step, func(ctx context.Context, dice *rand.Rand) error {
			return s.dieAt(ctx, w, dice, b.step, b.when)
		}})
	}
	return faults
}

// outage ends a process and starts it again after a while.
func (s *stage) outage(d *daemon, down time.Duration, end func(*daemon)) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	end(d)
	s.pause(down)
	return d.start()
}

// storm lets a third process join and leave again and again.
func (s *stage) storm(w *world, dice *rand.Rand) error {
	d := w.third
	for range 2 + dice.IntN(3) {
		if err := d.start(); err != nil {
			return err
		}
		select {
		case <-d.Done(): // it could not start
			s.exits.Add(1)
		case <-time.After(between(dice, 1500*time.Millisecond, 5*time.Second)):
		}
		if dice.IntN(3) == 0 {
			d.Kill()
		} else if !d.Terminate(stopPatience) {
			w.problem("%s has not ended %s after SIGTERM", d.Name, stopPatience)
		}
	}
	return nil
}

// dieAt lets a process die at a step of the protocol. If it does not come by it in
// time, it is killed where it is.
func (s *stage) dieAt(ctx context.Context, w *world, dice *rand.Rand, step string, when occasion) error {
	i := dice.IntN(len(w.daemons))
	d := w.daemons[i]
	d.turn.Lock()
	defer d.turn.Unlock()
	passes := 1 + dice.IntN(6)
	if when != anytime {
		// One of several partitions, or one claim of several.
		passes = 1 + dice.IntN(3)
	}
	if err := d.order(fmt.Sprintf("exit_at=%s:%d\n", step, passes)); err != nil {
		return err
	}
	switch when {
	case loss:
		s.redisTurn.Lock()
		err := s.redis.Empty(ctx)
		s.redisTurn.Unlock()
		if err != nil {
			return err
		}
	case handOver:
		// It claims what another one leaves behind.
		other := w.daemons[(i+1)%len(w.daemons)]
		if other != d {
			if err := s.outage(other, between(dice, 0, time.Second), func(d *daemon) { d.Kill() }); err != nil {
				return err
			}
		}
	}
	select {
	case <-d.Done():
	case <-time.After(sessionTimeout + between(dice, 4*time.Second, 9*time.Second)):
		s.say("%-6s %s: not reached", w.name, step)
		s.mu.Lock()
		s.missed++
		s.mu.Unlock()
	}
	d.Kill()
	if err := d.order(""); err != nil {
		return err
	}
	s.pause(between(dice, 0, 2*time.Second))
	return d.start()
}
