package processor

import "fmt"

// must panics unless an invariant of the protocol holds. Its callers ask only where
// invariants are checked: under the build tag of that name.
func must(holds bool, number int, format string, args ...any) {
	if !holds {
		panic(fmt.Sprintf("invariant %d of the protocol is broken: %s", number, fmt.Sprintf(format, args...)))
	}
}

// checkBatch holds a batch against the header that it follows.
func (p *Partition) checkBatch(next *Header) {
	was := &p.head
	epoch, known := next.History.EpochAt(next.Seq)
	must(next.Seq > was.Seq && known && epoch == was.Epoch, 1, "%s: batch %d follows %d under epoch %d, its history is %s", p.input, next.Seq, was.Seq, was.Epoch, next.History)
	must(next.Offset >= was.Offset && next.Clock >= was.Clock && next.Last >= was.Last, 2, "%s: %+v follows %+v", p.input, next, was)
	must(p.published <= was.Seq, 6, "%s: batch %d is published, the store holds %d", p.input, p.published, was.Seq)
}

// checkReplay holds a write of a replay against what it may be.
func (p *Partition) checkReplay(next *Header, last bool) {
	r := p.replay
	waiting, _ := p.Unpublished()
	must(p.out.size() == 0 && waiting == 0, 5, "%s: something was decided below offset %d", p.input, r.k.Offset)
	must(last || next.Seq < r.k.Seq || next.Seq == p.head.Seq, 2, "%s: batch %d is written at offset %d, Kafka has it up to %d", p.input, next.Seq, next.Offset, r.k.Offset)
	must(r.proof.left == 0 || r.k.Last < r.k.First, 2, "%s: a write ends within batch %d", p.input, r.proof.open.Seq)
	must(!last || r.ended && len(r.ahead) == 0, 8, "%s: the evidence was not read to its end", p.input)
}

// checkQueue holds what is handed to the publisher against what it has.
func (s *publishing) checkQueue(seq int64) {
	newest := s.published
	if n := len(s.queue); n > 0 {
		newest = s.queue[n-1].seq
	}
	must(seq >= newest, 4, "batch %d is handed over after batch %d", seq, newest)
}
