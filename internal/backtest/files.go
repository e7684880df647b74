package backtest

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules/sim"
)

// chunkSize is how many records are shared out at a time.
const chunkSize = 2048

// chunk is a stretch of the input, shared out among the workers.
type chunk struct {
	items    [][]item  // by worker
	out      []workOut // by worker
	problems []problem // of lines that are no events
	closing  bool      // the input is over: the clocks run on
	done     sync.WaitGroup
}

// workOut is what a worker decided in a chunk.
type workOut struct {
	buf      []byte
	pieces   []piece
	problems []problem
}

// piece is what one event brought about: a part of buf.
type piece struct{ seq, from, to int }

type problem struct {
	seq int
	err error
}

// runFiles reads the files. One goroutine reads, the workers decide, and this
// one writes what they decided in the order of the input. It returns how many
// lines were no events.
func (c *Config) runFiles(ctx context.Context, workers []*worker) (bad int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs := make([]chan *chunk, len(workers))
	for i := range jobs {
		jobs[i] = make(chan *chunk, 4)
	}
	ordered := make(chan *chunk, 4)
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() {
			for _, j := range jobs {
				close(j)
			}
			close(ordered)
		}()
		failed = c.share(ctx, len(workers), func(k *chunk) {
			k.done.Add(len(workers))
			for _, j := range jobs {
				j <- k
			}
			ordered <- k
		})
	})
	for i, w := range workers {
		wg.Go(func() {
			for k := range jobs[i] {
				w.chunk(k, i)
			}
		})
	}
	var out *bufio.Writer
	if c.Decisions != nil {
		out = bufio.NewWriterSize(c.Decisions, 1<<16)
	}
	var writeErr error
	for k := range ordered {
		k.done.Wait()
		bad += len(k.problems)
		if writeErr == nil {
			if writeErr = c.collect(k, out); writeErr != nil {
				cancel()
			}
		}
	}
	wg.Wait()
	if out != nil && writeErr == nil {
		writeErr = out.Flush()
	}
	if writeErr != nil {
		return bad, writing(writeErr)
	}
	return bad, failed
}

// share cuts the files into chunks.
func (c *Config) share(ctx context.Context, workers int, give func(*chunk)) error {
	fresh := func() *chunk { return &chunk{items: make([][]item, workers), out: make([]workOut, workers)} }
	k, n, seq := fresh(), 0, 0
	for rec, err := range input.ReadFiles(c.Files, input.Options{Mapping: c.Mapping, Stdin: c.Stdin, OnRead: c.OnRead}) {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		seq++
		if rec.Err != nil {
			k.problems = append(k.problems, problem{seq, rec.Err})
		} else {
			p := sim.PartitionOf(rec.User, c.Partitions)
			w := int(p) % workers
			k.items[w] = append(k.items[w], item{value: rec.Value, partition: p, offset: -1, seq: seq, where: fmt.Sprintf("%s:%d", rec.File, rec.Line)})
		}
		if n++; n == chunkSize {
			give(k)
			k, n = fresh(), 0
		}
	}
	give(k)
	if c.To > 0 {
		k = fresh()
		k.closing = true
		give(k)
	}
	return nil
}

// chunk works on this worker's part of a chunk.
func (w *worker) chunk(k *chunk, at int) {
	defer k.done.Done()
	out, seq := &k.out[at], 0
	if w.cfg.Decisions != nil {
		w.write = func(partition int32, line []byte) {
			if k.closing {
				seq = int(partition) // the partitions one after the other
			}
			from := len(out.buf)
			out.buf = append(out.buf, line...)
			out.pieces = append(out.pieces, piece{seq, from, len(out.buf)})
		}
	}
	if k.closing {
		w.close()
		return
	}
	for i := range k.items[at] {
		it := &k.items[at][i]
		seq = it.seq
		if err := w.apply(it); err != nil {
			out.problems = append(out.problems, problem{seq, err})
		}
	}
}

// close lets the clocks run on to the end of the time that was asked for.
func (w *worker) close() {
	if w.cfg.To > 0 {
		for _, r := range w.runs {
			r.sim.Advance(w.cfg.To - 1)
		}
	}
}

// collect writes a chunk's decisions and complaints in the order of the input.
func (c *Config) collect(k *chunk, out *bufio.Writer) error {
	problems := slices.Clone(k.problems)
	type line struct {
		seq  int
		text []byte
	}
	var lines []line
	for i := range k.out {
		o := &k.out[i]
		problems = append(problems, o.problems...)
		for _, p := range o.pieces {
			lines = append(lines, line{p.seq, o.buf[p.from:p.to]})
		}
	}
	slices.SortFunc(problems, func(a, b problem) int { return cmp.Compare(a.seq, b.seq) })
	for _, p := range problems {
		c.Complain(p.err)
	}
	// Those of one event come from one worker, in their order.
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.seq, b.seq) })
	for _, l := range lines {
		if _, err := out.Write(l.text); err != nil {
			return err
		}
	}
	return nil
}
