package floors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/bench/load"
)

// commitEvery is how long a transaction collects.
const commitEvery = 100 * time.Millisecond

// ConsumeTransformProduce is the loop that every exactly-once processor of Kafka
// records has: read in a group, decode, produce, and commit the offsets in the
// same transaction, one each 100 ms. It keeps no state and decides nothing, but
// produces this many sends, spread evenly over the input, each as large as a
// send of nudged. It ends at the input's present end.
func ConsumeTransformProduce(ctx context.Context, brokers []string, input, output, group string, sends int64) (res Result, err error) {
	res.Types = map[string]int64{}
	ends, err := load.EndOffsets(ctx, brokers, input)
	if err != nil {
		return res, err
	}
	sess, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(input),
		kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.TransactionalID(group),
		kgo.TransactionTimeout(10*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		// A transaction that begins right behind another may be told to try again,
		// which waits for new metadata: 5 s by default.
		kgo.MetadataMinAge(50*time.Millisecond),
	)
	if err != nil {
		return res, fmt.Errorf("transaction session of group %q: %w", group, err)
	}
	defer sess.Close()

	f := ctpFloor{decoder: decoder{result: &res}, sess: sess, output: output, sends: sends, total: sum(ends)}
	for res.Records < f.total {
		if err := sess.Begin(); err != nil {
			return res, fmt.Errorf("begin a transaction: %w", err)
		}
		err := f.collect(ctx)
		if err != nil {
			_, endErr := sess.End(ctx, kgo.TryAbort)
			return res, errors.Join(err, endErr)
		}
		committed, err := sess.End(ctx, kgo.TryCommit)
		if err != nil {
			return res, fmt.Errorf("end a transaction: %w", err)
		}
		if !committed {
			// The only member of the group is not rebalanced; going on would
			// count records twice.
			return res, errors.New("a transaction was not committed: group " + group + " has another member, or the broker refused it")
		}
		res.Commits++
	}
	if res.Sends != sends {
		return res, fmt.Errorf("%d sends produced, want %d", res.Sends, sends)
	}
	return res, nil
}

type ctpFloor struct {
	decoder
	sess   *kgo.GroupTransactSession
	output string
	sends  int64 // to produce in all
	total  int64 // records of the input
}

// collect polls and produces until the transaction is old enough or the input
// has ended. The results of producing are judged by the session's End.
func (f *ctpFloor) collect(ctx context.Context) error {
	until, cancel := context.WithTimeout(ctx, commitEvery)
	defer cancel()
	for f.result.Records < f.total && until.Err() == nil {
		fetches := f.sess.PollFetches(until)
		if until.Err() != nil && fetches.NumRecords() == 0 {
			return ctx.Err()
		}
		if err := fetchError(ctx, fetches); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			id, kind, user, at, err := f.take(r.Value)
			if err != nil {
				return fmt.Errorf("topic %q partition %d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			if f.result.Records*f.sends/f.total == f.result.Sends {
				continue
			}
			f.result.Sends++
			f.sess.Produce(ctx, &kgo.Record{
				Topic: f.output, Partition: r.Partition, Key: append([]byte(nil), user...),
				Value: send(id, kind, user, at, r),
			}, nil)
		}
	}
	return nil
}

// send has the fields and the size of a send command.
func send(id, kind, user, at []byte, r *kgo.Record) []byte {
	return fmt.Appendf(nil, `{"command_id":"%032x","rule":"search_no_view","user":"%s","instance":"","step":0,`+
		`"experiment":"search_help","arm":"treatment","channel":"push","class":"transactional","template":"search_help",`+
		`"data":{"query":"winter jacket","results":17},"trigger":{"id":"%s","type":"%s","time":"%s","topic":"%s","partition":%d,"offset":%d},`+
		`"due":"%s","fired":"%s","rules_version":"sha256:%064x"}`,
		r.Offset, user, id, kind, at, r.Topic, r.Partition, r.Offset, at, at, r.Offset)
}
