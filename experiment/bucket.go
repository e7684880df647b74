// Package experiment assigns users to the arms of experiments by hash. It is
// pure: an assignment depends on the arguments alone, so the same user gets the
// same arm in every process and in every language that follows
// docs/assignment.md.
package experiment

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Buckets is the number of buckets that users are spread over: 0..Buckets-1.
// One bucket is a hundredth of a percent.
const Buckets = 10_000

const bucketsPerPercent = Buckets / 100

// Kind says what a bucket is for. It is part of the hash, so that the holdout,
// the layers and the arms cut the users independently of each other.
type Kind string

// The kinds that exist.
const (
	KindHoldout Kind = "holdout"
	KindLayer   Kind = "layer"
	KindVariant Kind = "variant"
)

// Bucket returns the bucket of a unit (a user id), 0..9999:
//
//	h      = xxhash64(kind NUL salt NUL unit), seed 0
//	bucket = the high 64 bits of the 128-bit product h * 10000
//
// The strings are hashed as their bytes, without any normalisation. A kind that
// does not exist and a NUL inside the salt or the unit are errors: a NUL would
// let two different inputs hash the same bytes.
func Bucket(kind Kind, salt, unit string) (uint16, error) {
	switch kind {
	case KindHoldout, KindLayer, KindVariant:
	default:
		return 0, fmt.Errorf("no bucket kind %q: use %s, %s or %s", string(kind), KindHoldout, KindLayer, KindVariant)
	}
	if hasNUL(salt) {
		return 0, nulError("salt", salt)
	}
	if hasNUL(unit) {
		return 0, nulError("unit", unit)
	}
	var s stem
	s.start(kind, salt)
	return s.bucket(unit), nil
}

// stem is the hash of "kind NUL salt NUL", ready to be finished with any number
// of units. It holds no pointers and is copied, not shared.
type stem struct{ digest xxhash.Digest }

func (s *stem) start(kind Kind, salt string) {
	s.digest.Reset()
	// Writing to the digest cannot fail.
	_, _ = s.digest.WriteString(string(kind))
	_, _ = s.digest.WriteString("\x00")
	_, _ = s.digest.WriteString(salt)
	_, _ = s.digest.WriteString("\x00")
}

// bucket finishes a copy of the stem, which stays on the stack.
func (s *stem) bucket(unit string) uint16 {
	d := s.digest
	_, _ = d.WriteString(unit)
	return bucketOf(d.Sum64())
}

func bucketOf(hash uint64) uint16 {
	high, _ := bits.Mul64(hash, Buckets)
	return uint16(high)
}

func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

func nulError(what, value string) error {
	return fmt.Errorf("%s %q holds a NUL byte, which separates the parts of the hash: remove it", what, value)
}
