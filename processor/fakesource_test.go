package processor_test

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/nudged/nudged/processor"
)

// fakeSource delivers what a fakeLog holds, each started partition from a
// goroutine of its own, as long as it is not paused.
type fakeSource struct {
	log  *fakeLog
	to   *processor.Processor
	many int // records in one delivery

	mu     sync.Mutex
	feeds  map[processor.TopicPartition]*feed
	starts map[processor.TopicPartition][]int64 // offsets, of each start
	pauses int
	// delivered are bytes of values, broken is what a source is never asked.
	delivered int
	broken    []string
}

type feed struct {
	next   int64
	paused bool
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}
}

func newFakeSource(log *fakeLog) *fakeSource {
	return &fakeSource{log: log, many: 50, feeds: map[processor.TopicPartition]*feed{}, starts: map[processor.TopicPartition][]int64{}}
}

func (s *fakeSource) Start(tp processor.TopicPartition, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.feeds[tp] != nil {
		s.broken = append(s.broken, fmt.Sprintf("%s is started while it runs", tp))
		return
	}
	f := &feed{next: offset, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	s.feeds[tp] = f
	s.starts[tp] = append(s.starts[tp], offset)
	go s.pump(tp, f)
}

func (s *fakeSource) pump(tp processor.TopicPartition, f *feed) {
	defer close(f.done)
	for {
		recs, end := s.fetch(tp, f)
		if len(recs) > 0 {
			s.to.Deliver(tp, recs, end)
		}
		if len(recs) > 0 {
			select {
			case <-f.stop:
				return
			default:
				continue
			}
		}
		select {
		case <-f.stop:
			return
		case <-f.wake:
		}
	}
}

func (s *fakeSource) fetch(tp processor.TopicPartition, f *feed) (recs []processor.Record, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.paused {
		return nil, 0
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	all := s.log.input[tp]
	from := min(f.next, int64(len(all)))
	recs = all[from:min(from+int64(s.many), int64(len(all)))]
	f.next = from + int64(len(recs))
	for _, r := range recs {
		s.delivered += len(r.Value)
	}
	return recs, int64(len(all))
}

func (s *fakeSource) Stop(tp processor.TopicPartition) {
	s.mu.Lock()
	f := s.feeds[tp]
	delete(s.feeds, tp)
	if f == nil {
		s.broken = append(s.broken, fmt.Sprintf("%s is stopped and does not run", tp))
	}
	s.mu.Unlock()
	if f != nil {
		close(f.stop)
		<-f.done
	}
}

func (s *fakeSource) Pause(tp processor.TopicPartition)  { s.set(tp, true) }
func (s *fakeSource) Resume(tp processor.TopicPartition) { s.set(tp, false) }

func (s *fakeSource) set(tp processor.TopicPartition, paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if paused {
		s.pauses++
	}
	if f := s.feeds[tp]; f != nil {
		f.paused = paused
		f.signal()
	}
}

func (f *feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (s *fakeSource) Ends(context.Context, []processor.TopicPartition) (map[processor.TopicPartition]int64, error) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	out := map[processor.TopicPartition]int64{}
	for tp, recs := range s.log.input { // there is one topic
		out[tp] = int64(len(recs))
	}
	return out, nil
}

// append adds records to the log and has them delivered.
func (s *fakeSource) append(tp processor.TopicPartition, recs ...processor.Record) {
	s.log.mu.Lock()
	s.log.input[tp] = append(s.log.input[tp], recs...)
	s.log.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.feeds[tp]; f != nil {
		f.signal()
	}
}

// running are the partitions that are being delivered.
func (s *fakeSource) running() map[processor.TopicPartition]*feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.feeds)
}
