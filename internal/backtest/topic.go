package backtest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// keptProblems is how many complaints are kept of each partition.
const keptProblems = 20

// topicRun is the reading of one topic.
type topicRun struct {
	cfg    *Config
	cl     *kgo.Client
	starts []int64 // by partition
	ends   []int64
	files  []*partitionFile // by partition, nil: decisions are not wanted
	jobs   []chan []*kgo.Record
	// problems are the first of each partition, and how many there were.
	problems [][]error
	bad      []int
}

// runTopic reads every partition of the topic up to its present end. Each goes
// to one worker, whose partitions are decided one beside the other.
func (c *Config) runTopic(ctx context.Context, sets []*rules.Set) ([]*worker, error) {
	t := &topicRun{cfg: c}
	if err := t.open(ctx); err != nil {
		return nil, err
	}
	defer t.cl.Close()
	defer t.discard()
	if c.OnTotal != nil {
		total := int64(0)
		for p := range t.ends {
			total += t.ends[p] - t.starts[p]
		}
		c.OnTotal(total)
	}
	workers := c.workers(sets, len(t.ends), sinks.Origin{Topic: c.Topic, RulesVersion: sets[0].Version}, c.Mapping)
	t.problems, t.bad = make([][]error, len(t.ends)), make([]int, len(t.ends))
	for range workers {
		t.jobs = append(t.jobs, make(chan []*kgo.Record, 16))
	}
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() { t.work(w, t.jobs[i]) })
	}
	err := t.read(ctx)
	for _, j := range t.jobs {
		close(j)
	}
	wg.Wait()
	if err != nil {
		return nil, err
	}
	for p := range t.problems {
		for _, e := range t.problems[p] {
			c.Complain(e)
		}
		for range t.bad[p] - len(t.problems[p]) {
			c.Complain(fmt.Errorf("%s/%d: one more record that is no event", c.Topic, p))
		}
	}
	return workers, t.concatenate()
}

// open finds the topic and where to begin and end in its partitions.
func (t *topicRun) open(ctx context.Context) error {
	c := t.cfg
	opts := append([]kgo.Opt{
		kgo.ClientID("nudged-backtest"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
	}, c.Options...)
	var err error
	if t.cl, err = kgo.NewClient(opts...); err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer func() {
		if err != nil {
			t.cl.Close()
		}
	}()
	adm := kadm.NewClient(t.cl)
	topics, err := adm.ListTopics(ctx, c.Topic)
	if err != nil {
		return fmt.Errorf("kafka cannot be reached: %w", err)
	}
	d, ok := topics[c.Topic]
	if !ok || d.Err != nil {
		err = fmt.Errorf("topic %q does not exist: name one that holds events", c.Topic)
		return err
	}
	starts, err := adm.ListStartOffsets(ctx, c.Topic)
	if err == nil && c.From > 0 {
		// A record may be older than its event by as much as an event may be ahead.
		starts, err = adm.ListOffsetsAfterMilli(ctx, max(c.From-c.MaxAhead, 0), c.Topic)
	}
	if err != nil {
		return fmt.Errorf("list start offsets of %s: %w", c.Topic, err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, c.Topic)
	if err != nil {
		return fmt.Errorf("list end offsets of %s: %w", c.Topic, err)
	}
	at := map[int32]kgo.Offset{}
	for p := range int32(len(d.Partitions)) {
		start, ok1 := starts.Lookup(c.Topic, p)
		end, ok2 := ends.Lookup(c.Topic, p)
		if err = errors.Join(start.Err, end.Err); err == nil && !(ok1 && ok2) {
			err = errors.New("the broker did not say its offsets")
		}
		if err != nil {
			return fmt.Errorf("%s/%d: %w", c.Topic, p, err)
		}
		t.starts, t.ends = append(t.starts, min(start.Offset, end.Offset)), append(t.ends, end.Offset)
		if start.Offset < end.Offset {
			at[p] = kgo.NewOffset().At(start.Offset)
		}
		if c.Decisions != nil {
			var f *partitionFile
			if f, err = newPartitionFile(); err != nil {
				t.discard()
				return writing(err)
			}
			t.files = append(t.files, f)
		}
	}
	t.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{c.Topic: at})
	return nil
}

// read hands the records out, each partition's to its worker, until every
// partition has reached its end.
func (t *topicRun) read(ctx context.Context) error {
	reading := map[int32]bool{} // partitions that have not reached their end
	for p := range t.ends {
		if t.starts[p] < t.ends[p] {
			reading[int32(p)] = true
		}
	}
	for len(reading) > 0 {
		fetches := t.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			p, end := f.Partition, t.ends[f.Partition]
			records := f.Records
			if len(records) == 0 || !reading[p] {
				return
			}
			// What lies last before the end may be an aborted record, which is not handed
			// out: then the first that comes lies behind it.
			before := slices.IndexFunc(records, func(r *kgo.Record) bool { return r.Offset >= end })
			if before >= 0 {
				records = records[:before]
			}
			if len(records) > 0 {
				t.jobs[int(p)%len(t.jobs)] <- records
				if t.cfg.OnRead != nil {
					t.cfg.OnRead(len(records))
				}
			}
			if before >= 0 || records[len(records)-1].Offset == end-1 {
				delete(reading, p)
				t.cl.PauseFetchPartitions(map[string][]int32{t.cfg.Topic: {p}})
			}
		})
	}
	return nil
}

// work decides on the partitions of one worker.
func (t *topicRun) work(w *worker, jobs <-chan []*kgo.Record) {
	if t.files != nil {
		w.write = func(partition int32, line []byte) { t.files[partition].write(line) }
	}
	for records := range jobs {
		for _, r := range records {
			if r.Attrs.IsControl() {
				continue
			}
			it := item{value: r.Value, partition: r.Partition, offset: r.Offset, timestamp: r.Timestamp.UnixMilli()}
			if r.Value == nil && slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == processor.ForgetHeader }) {
				it.forget = string(r.Key)
			}
			if err := w.apply(&it); err != nil {
				p := r.Partition
				if t.bad[p]++; t.bad[p] <= keptProblems {
					t.problems[p] = append(t.problems[p], fmt.Errorf("%s/%d/%d: %w", t.cfg.Topic, p, r.Offset, err))
				}
			}
		}
	}
	w.close()
}

// partitionFile holds the decisions of a partition until all are done: which
// partition comes first must not depend on which was read first.
type partitionFile struct {
	file *os.File
	buf  *bufio.Writer
	err  error
}

func newPartitionFile() (*partitionFile, error) {
	f, err := os.CreateTemp("", "nudged-backtest-")
	if err != nil {
		return nil, err
	}
	return &partitionFile{file: f, buf: bufio.NewWriterSize(f, 1<<15)}, nil
}

func (f *partitionFile) write(line []byte) {
	if f.err == nil {
		_, f.err = f.buf.Write(line)
	}
}

// concatenate writes the decisions, partition by partition.
func (t *topicRun) concatenate() error {
	for _, f := range t.files {
		if err := cmp.Or(f.err, f.buf.Flush()); err != nil {
			return writing(err)
		}
		if _, err := f.file.Seek(0, io.SeekStart); err != nil {
			return writing(err)
		}
		if _, err := io.Copy(t.cfg.Decisions, f.file); err != nil {
			return writing(err)
		}
	}
	return nil
}

// discard removes the files.
func (t *topicRun) discard() {
	for _, f := range t.files {
		_ = f.file.Close() // read, or given up
		_ = os.Remove(f.file.Name())
	}
}
