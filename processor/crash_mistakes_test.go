package processor_test

import (
	"github.com/nudged/nudged/processor"
)

// mistakes are planted to see that the simulation notices them.
type mistakes struct {
	sameClaimer, epochsFromRedis, readUnstable, anyOwner bool
}

func (m mistakes) store(w *world) processor.Store { return w.store }

func (m mistakes) commit(w *world, pubs []*processor.Publication) { w.log.apply(pubs) }

func withoutEpoch(in processor.Inspection) processor.Inspection {
	return in
}
