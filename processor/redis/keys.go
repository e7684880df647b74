// Package redis keeps states, timers and outboxes of partitions in Redis 7 or
// newer: a single one, one behind Sentinel, or a Cluster.
//
// All keys of partition p of topic t in group g begin with nudged:{g:t:p}: and
// so lie in one slot of a Cluster. What follows is
//
//	h          hash, the header: id e v w s h l o c b x (the id ends in the number of
//	           partitions, or in two while users are moved: 3>5), wipe while the
//	           partition is being emptied, and u, the number of user buckets;
//	           u is fixed when the header is made. x is four decimals joined by
//	           commas: send partition, offset, decision partition, offset; y is how
//	           far schedules have been started, see processor.Sweep
//	o          list, the outbox: two elements for each batch that had records,
//	           its seq in decimal and then the records; so the seq is read
//	           without the records
//	u:<bucket> hash, user -> state; bucket = xxhash64(user) mod u, in decimal
//	t          set of integers, the timer buckets that exist
//	t:<n>      list, the timers of bucket n: uvarint((At-Start)/1000), then the
//	           bytes of the user. n = minute*2 for a FarBucket and minute*2+1
//	           for a MinuteBucket, minute = Start/60000
//	n          hash, rule id in decimal -> rule name
//
// Beside them there is nudged:{g}:experiments, a hash: its field tally is what was
// counted of the group's experiments, see internal/guard.
//
// Many small hashes take half the memory of one large one while they stay
// listpacks: set hash-max-listpack-value to 512 and choose the number of user
// buckets so that a bucket has fewer users than hash-max-listpack-entries (128,
// if not set). With ids of 13 bytes and states of 80, 50 users a bucket take 112
// bytes a user, 25 take 115, and 200, which are no listpack, 126 to 155.
package redis

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/nudged/nudged/processor"
)

// partition holds the names of a partition's keys.
type partition struct {
	input                         processor.TopicPartition
	prefix                        string
	header, outbox, timers, names string
	users                         []string // by bucket; none until their number is known
}

func newPartition(group string, tp processor.TopicPartition) *partition {
	prefix := "nudged:{" + group + ":" + tp.Topic + ":" + strconv.Itoa(int(tp.Partition)) + "}:"
	return &partition{
		input: tp, prefix: prefix,
		header: prefix + "h", outbox: prefix + "o", timers: prefix + "t", names: prefix + "n",
	}
}

// withBuckets returns p with the keys of n user buckets.
func (p *partition) withBuckets(n int) *partition {
	q := *p
	q.users = make([]string, n)
	for i := range q.users {
		q.users[i] = p.prefix + "u:" + strconv.Itoa(i)
	}
	return &q
}

// bucketOf is the user's bucket.
func (p *partition) bucketOf(user string) int {
	return int(xxhash.Sum64String(user) % uint64(len(p.users)))
}

func (p *partition) timerList(number int64) string {
	return p.prefix + "t:" + strconv.FormatInt(number, 10)
}

// bucketNumber names a timer bucket in one integer.
func bucketNumber(b processor.Bucket) int64 {
	n := b.Start / processor.MinuteBucket * 2
	if b.Width == processor.MinuteBucket {
		n++
	}
	return n
}

// numberedBucket is the inverse of bucketNumber.
func numberedBucket(n int64) processor.Bucket {
	b := processor.Bucket{Start: n >> 1 * processor.MinuteBucket, Width: processor.FarBucket}
	if n&1 == 1 {
		b.Width = processor.MinuteBucket
	}
	return b
}

// pattern matches the keys that begin with prefix: group names may hold any
// character.
func pattern(prefix string) string {
	return globSpecial.Replace(prefix) + "*"
}

var globSpecial = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

func sortBuckets(buckets []processor.Bucket) {
	slices.SortFunc(buckets, func(a, b processor.Bucket) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Width, b.Width))
	})
}
