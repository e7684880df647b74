package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/nudged/nudged/internal/chaos/services"
)

// longRun is from when on a run has time for everything.
const longRun = 5 * time.Minute

// kafkaFaults happen to the brokers and the way to them. With three brokers one is
// down at a time, except in an outage.
func (s *stage) kafkaFaults() []fault {
	k := s.kafka
	some := func(dice *rand.Rand) *services.Broker { return k.Brokers[dice.IntN(len(k.Brokers))] }
	var proxies []*services.Proxy
	for _, b := range k.Brokers {
		proxies = append(proxies, b.Proxy)
	}
	faults := []fault{
		{"kafka-restart", func(ctx context.Context, dice *rand.Rand) error {
			b := some(dice)
			b.Terminate(time.Minute)
			s.pause(between(dice, 0, 2*time.Second))
			if err := b.Start(); err != nil {
				return err
			}
			return k.Healed(ctx)
		}},
		{"kafka-kill", func(ctx context.Context, dice *rand.Rand) error {
			b := some(dice)
			b.Kill()
			s.pause(between(dice, 0, 8*time.Second))
			if err := b.Start(); err != nil {
				return err
			}
			return k.Healed(ctx)
		}},
	}
	if s.duration >= longRun {
		// It takes minutes on a busy machine.
		faults = append(faults, fault{"kafka-outage", func(ctx context.Context, dice *rand.Rand) error {
			for _, b := range k.Brokers {
				b.Kill()
			}
			s.pause(between(dice, 0, 4*time.Second))
			for _, b := range k.Brokers {
				if err := b.Start(); err != nil {
					return err
				}
			}
			return k.Healed(ctx)
		}})
	}
	if len(k.Brokers) > 1 {
		faults = append(faults, fault{"kafka-leaders", func(ctx context.Context, _ *rand.Rand) error {
			if _, err := k.MoveLeaders(ctx); err != nil {
				return err
			}
			return k.Healed(ctx)
		}})
	}
	return append(faults, s.networkFaults("kafka", func(*rand.Rand) []*services.Proxy { return proxies })...)
}

// redisFaults happen to Redis and the way to it.
func (s *stage) redisFaults() []fault {
	r := s.redis
	healed := func(do func(ctx context.Context, dice *rand.Rand) error) func(context.Context, *rand.Rand) error {
		return func(ctx context.Context, dice *rand.Rand) error {
			s.redisTurn.Lock()
			defer s.redisTurn.Unlock()
			if err := do(ctx, dice); err != nil {
				return err
			}
			return r.Healed(ctx)
		}
	}
	faults := []fault{
		{"redis-restart", healed(func(ctx context.Context, dice *rand.Rand) error {
			return r.Restart(ctx, between(dice, 0, 3*time.Second))
		})},
		{"redis-kill", healed(func(ctx context.Context, dice *rand.Rand) error {
			return r.Kill(ctx, between(dice, 0, 3*time.Second))
		})},
		{"redis-power-loss", healed(func(ctx context.Context, dice *rand.Rand) error {
			lost, err := r.LosePower(ctx, dice, between(dice, 0, 3*time.Second))
			s.say("%-6s the last %d bytes are gone", "redis", lost)
			return err
		})},
		{"redis-failover", healed(func(ctx context.Context, dice *rand.Rand) error {
			return r.FailOver(ctx, between(dice, 200*time.Millisecond, 4*time.Second), between(dice, 0, 2*time.Second))
		})},
		{"redis-emptied", healed(func(ctx context.Context, _ *rand.Rand) error { return r.Empty(ctx) })},
		{"redis-full-memory", healed(func(ctx context.Context, dice *rand.Rand) error {
			return r.FillMemory(ctx, between(dice, time.Second, 6*time.Second))
		})},
	}
	if r.CanFillDisk() {
		faults = append(faults, fault{"redis-full-disk", healed(func(ctx context.Context, dice *rand.Rand) error {
			return r.FillDisk(ctx, between(dice, 2*time.Second, 6*time.Second))
		})})
	} else {
		s.say("redis-full-disk is left out: only root may mount a small disk")
	}
	return append(faults, s.networkFaults("redis", func(dice *rand.Rand) []*services.Proxy {
		// The way of one process, or of all.
		var all []*services.Proxy
		for _, w := range s.worlds {
			for _, d := range w.daemons {
				all = append(all, d.front)
			}
		}
		if n := dice.IntN(2 * len(all)); n < len(all) {
			return all[n : n+1]
		}
		return all
	})...)
}

// networkFaults happen on the way.
func (s *stage) networkFaults(to string, pick func(*rand.Rand) []*services.Proxy) []fault {
	on := func(what string, least, most time.Duration, do func(*services.Proxy, *rand.Rand) error) fault {
		return fault{to + "-" + what, func(_ context.Context, dice *rand.Rand) error {
			proxies := pick(dice)
			for _, p := range proxies {
				if err := do(p, dice); err != nil {
					return err
				}
			}
			s.pause(between(dice, least, most))
			for _, p := range proxies {
				if err := p.Mend(); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	return []fault{
		on("slow", 2*time.Second, 8*time.Second, func(p *services.Proxy, dice *rand.Rand) error {
			ms := 50 + dice.IntN(500)
			return p.Delay(ms, ms/2)
		}),
		on("cut", 500*time.Millisecond, 6*time.Second, func(p *services.Proxy, _ *rand.Rand) error {
			p.Cut()
			return nil
		}),
		on("lost-replies", 2*time.Second, 6*time.Second, func(p *services.Proxy, dice *rand.Rand) error {
			return p.CutAfter(dice.IntN(3000))
		}),
		on("torn-requests", 2*time.Second, 6*time.Second, func(p *services.Proxy, dice *rand.Rand) error {
			return p.CutRequestsAfter(dice.IntN(6000))
		}),
		on("silence", time.Second, 9*time.Second, func(p *services.Proxy, _ *rand.Rand) error { return p.Silence() }),
	}
}
