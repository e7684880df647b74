package rescale_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nudged/nudged/processor"
)

// mover is a user who is in one partition of two and belongs into another, old one, of
// three.
func mover() string {
	for i := 0; ; i++ {
		if user := fmt.Sprint("m", i); home(user, 2) == 0 && home(user, 3) == 1 {
			return user
		}
	}
}

// A topic that grows under a running daemon stops it: at the first record of somebody
// who does not belong, on either clock, and otherwise within a second or two.
func TestTopicGrowsUnderTheDaemon(t *testing.T) {
	for _, eventClock := range []bool{true, false} {
		for _, quiet := range []bool{true, false} {
			t.Run(fmt.Sprintf("event clock %v, quiet %v", eventClock, quiet), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, 1, "testdata/timers.yaml", 2)
					user := mover()
					now := time.Now().UnixMilli()
					w.produce(event{user, "cart", now - 2*hour + 10*minute}, 2)
					pr, _ := w.processor(kafka{w: w}, nil, func(c *processor.Config) { c.EventClock = eventClock })
					ctx, cancel := context.WithCancel(t.Context())
					ended := make(chan error, 1)
					go func() { ended <- pr.Run(ctx) }()
					pr.Assign([]processor.TopicPartition{at(0), at(1)})
					time.Sleep(5 * time.Second)
					w.grow(3)
					if !quiet {
						w.produce(event{user, "purchase", now}, 3)
						time.Sleep(400 * time.Millisecond)
					} else {
						time.Sleep(3 * time.Second)
					}
					stopped := len(stops(pr))
					if want := map[bool]int{true: 2, false: 1}[quiet]; stopped < want {
						t.Errorf("%d partitions are stopped, want %d: %+v", stopped, want, pr.Status())
					}
					time.Sleep(time.Hour) // what waits is due
					if len(stops(pr)) != 2 {
						t.Errorf("%+v", pr.Status())
					}
					cancel()
					if err := <-ended; err != nil {
						t.Error(err)
					}
					if len(w.sends) > 0 {
						t.Errorf("sent though the purchase lay elsewhere: %v", w.sends)
					}
					states, _ := w.requirePlaced(2)
					if len(states) != 1 {
						t.Errorf("%d states, want the one", len(states))
					}
				})
			})
		}
	}
}

// Where users lie anywhere, which the daemon finds out at the first of them, it goes on.
func TestUsersAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, "testdata/timers.yaml", 2)
		for i := range 10 {
			r := processor.Record{Offset: int64(i), Timestamp: began, Key: []byte{byte(i)}, Value: fmt.Appendf(nil, "%s cart %d", mover(), began+int64(i)*day)}
			w.log[1] = append(w.log[1], r)
		}
		if err := w.run(t.Context(), kafka{w: w}, w.ends(false), nil); err != nil {
			t.Fatal(err)
		}
		if len(w.sends) == 0 {
			t.Error("nothing was sent")
		}
	})
}

// After the move a producer that still goes by the former number is noticed: what it
// writes for somebody who has moved is a dead letter.
func TestStragglersAreDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := settled(t, 1, 2, 3)
		if _, err := w.rescale(0, false); err != nil {
			t.Fatal(err)
		}
		w.produce(event{mover(), "view", began + 900*day}, 2)
		w.produce(event{mover(), "view", began + 901*day}, 3)
		if err := w.run(t.Context(), kafka{w: w}, w.ends(false), nil); err != nil {
			t.Fatal(err)
		}
		if w.dead != 1 {
			t.Errorf("%d dead letters, want 1", w.dead)
		}
		w.requirePlaced(3)
	})
}
