// Package sinktest is the suite that every Sink passes.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nudged/nudged/sinks"
)

// Run checks a kind of sink. open makes a new one, and a function that returns
// what it has passed on so far: the value of each command, in order. Both are
// called once for each part of the suite.
func Run(t *testing.T, open func(t *testing.T) (sink sinks.Sink, received func() []string)) {
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			sink, received := open(t)
			if err := p.check(sink, received); err != nil {
				t.Error(err)
			}
		})
	}
}

// part is one thing that is asked of a sink.
type part struct {
	name  string
	check func(sink sinks.Sink, received func() []string) error
}

var parts = []part{
	{"one command", oneCommand},
	{"several commands in one delivery keep their order", oneDelivery},
	{"deliveries keep their order", severalDeliveries},
	{"a delivery of nothing passes nothing on", emptyDelivery},
	{"concurrent deliveries do not mix", concurrentDeliveries},
}

// command is a command whose value tells where it belongs.
func command(delivery, index int) sinks.Record {
	value := fmt.Sprintf(`{"command_id":"%d-%d","delivery":%d,"index":%d,"text":"다음 \"주문\" %s"}`, delivery, index, delivery, index, strings.Repeat("x", 50*index))
	return sinks.Record{Topic: "sends", Key: []byte("u1"), Value: []byte(value), Headers: []sinks.Header{{Key: "h", Value: []byte("v")}}}
}

func commands(delivery, n int) (records []sinks.Record, values []string) {
	for i := range n {
		r := command(delivery, i)
		records, values = append(records, r), append(values, string(r.Value))
	}
	return records, values
}

// same compares what was received with what should have been.
func same(got, want []string) error {
	if slices.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("received %d commands:\n%s\nwant %d:\n%s", len(got), strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
}

func oneCommand(sink sinks.Sink, received func() []string) error {
	records, want := commands(0, 1)
	if err := sink.Deliver(context.Background(), records); err != nil {
		return err
	}
	return same(received(), want)
}

func oneDelivery(sink sinks.Sink, received func() []string) error {
	records, want := commands(0, 20)
	if err := sink.Deliver(context.Background(), records); err != nil {
		return err
	}
	return same(received(), want)
}

func severalDeliveries(sink sinks.Sink, received func() []string) error {
	var want []string
	for d, n := range []int{3, 1, 7, 2} {
		records, values := commands(d, n)
		if err := sink.Deliver(context.Background(), records); err != nil {
			return err
		}
		want = append(want, values...)
		if err := same(received(), want); err != nil {
			return fmt.Errorf("after delivery %d: %w", d, err)
		}
	}
	return nil
}

func emptyDelivery(sink sinks.Sink, received func() []string) error {
	for _, nothing := range [][]sinks.Record{nil, {}} {
		if err := sink.Deliver(context.Background(), nothing); err != nil {
			return err
		}
	}
	if err := same(received(), nil); err != nil {
		return err
	}
	// It goes on as before.
	return oneCommand(sink, received)
}

// concurrentDeliveries come from the workers of several partitions. Each command
// arrives whole and once, those of one delivery in their order.
func concurrentDeliveries(sink sinks.Sink, received func() []string) error {
	const workers, each, size = 8, 20, 5
	failed := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for d := range each {
				records, _ := commands(w*each+d, size)
				failed[w] = errors.Join(failed[w], sink.Deliver(context.Background(), records))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	// Where each expected value stands among the received.
	place := map[string]int{}
	for i, value := range received() {
		if _, twice := place[value]; twice {
			return fmt.Errorf("received twice: %s", value)
		}
		place[value] = i
	}
	total := 0
	for w := range workers {
		last := -1
		for d := range each {
			_, values := commands(w*each+d, size)
			for _, value := range values {
				at, ok := place[value]
				if !ok {
					return fmt.Errorf("not received, or not whole: %s", value)
				}
				if at < last {
					return fmt.Errorf("received before the one it follows: %s", value)
				}
				last = at
				total++
			}
		}
	}
	if len(place) != total {
		return fmt.Errorf("received %d commands, want %d", len(place), total)
	}
	return nil
}
