package experiment

import (
	"math/big"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// The published figures of xxhash64 with seed 0: the hash is the right one.
func TestHashIsXXHash64(t *testing.T) {
	for text, want := range map[string]uint64{
		"":    0xef46db3751d8e999,
		"a":   0xd24ec4f1a98c6e5b,
		"abc": 0x44bc2cf5ad770999,
	} {
		var d xxhash.Digest
		d.Reset()
		if _, err := d.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if got := d.Sum64(); got != want {
			t.Errorf("xxhash64(%q) = %016x, want %016x", text, got, want)
		}
	}
}

func TestBucketOfHash(t *testing.T) {
	for _, c := range []struct {
		hash uint64
		want uint16
	}{
		{0, 0},
		{1<<64 - 1, 9999},
		{1 << 63, 5000},
		{1<<63 - 1, 4999},
		// 2^64/10000 is 1844674407370955.16: the first bucket ends there.
		{1844674407370955, 0},
		{1844674407370956, 1},
	} {
		if got := bucketOf(c.hash); got != c.want {
			t.Errorf("bucketOf(%d) = %d, want %d", c.hash, got, c.want)
		}
	}
}

// plainBucket is the layout written out without a thought for speed.
func plainBucket(kind Kind, salt, unit string) uint16 {
	hash := xxhash.Sum64String(string(kind) + "\x00" + salt + "\x00" + unit)
	product := new(big.Int).Mul(new(big.Int).SetUint64(hash), big.NewInt(10_000))
	return uint16(product.Rsh(product, 64).Uint64())
}

func checkBucket(t interface {
	Fatalf(format string, args ...any)
}, kind Kind, salt, unit string,
) {
	got, err := Bucket(kind, salt, unit)
	if strings.Contains(salt+unit, "\x00") {
		if err == nil {
			t.Fatalf("Bucket(%s, %q, %q) = %d, want an error about the NUL", kind, salt, unit, got)
		}
		return
	}
	if want := plainBucket(kind, salt, unit); err != nil || got != want {
		t.Fatalf("Bucket(%s, %q, %q) = %d, %v; want %d", kind, salt, unit, got, err, want)
	}
}

func TestBucketFollowsTheLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Kind{KindHoldout, KindLayer, KindVariant}).Draw(t, "kind")
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9-]{0,80}`))
		checkBucket(t, kind, text.Draw(t, "salt"), text.Draw(t, "unit"))
	})
}

func FuzzBucket(f *testing.F) {
	f.Add("cart_coupon", "u1")
	f.Add("", "")
	f.Add("a\x00b", "c")
	f.Add("a", "b\x00c")
	f.Add("\xff\xfe", strings.Repeat("x", 100))
	f.Fuzz(func(t *testing.T, salt, unit string) {
		for _, kind := range []Kind{KindHoldout, KindLayer, KindVariant} {
			checkBucket(t, kind, salt, unit)
		}
	})
}

func TestBucketErrors(t *testing.T) {
	for _, c := range []struct {
		kind       Kind
		salt, unit string
		want       string
	}{
		{KindVariant, "a\x00", "u", `salt "a\x00" holds a NUL byte`},
		{KindVariant, "a", "\x00u", `unit "\x00u" holds a NUL byte`},
		{"arm", "a", "u", `no bucket kind "arm": use holdout, layer or variant`},
		{"variant\x00", "a", "u", `no bucket kind "variant\x00"`},
		{"", "a", "u", `no bucket kind ""`},
	} {
		if _, err := Bucket(c.kind, c.salt, c.unit); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Bucket(%q, %q, %q): error %v, want %q", string(c.kind), c.salt, c.unit, err, c.want)
		}
	}
}

// Where one part ends and the next begins is part of the hash.
func TestPartsDoNotRunTogether(t *testing.T) {
	differ := 0
	for _, unit := range []string{"1", "2", "3", "4", "5"} {
		a, errA := Bucket(KindVariant, "ab", "c"+unit)
		b, errB := Bucket(KindVariant, "a", "bc"+unit)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a != b {
			differ++
		}
	}
	if differ == 0 {
		t.Error(`salt "ab" with unit "c…" and salt "a" with unit "bc…" always share a bucket`)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	assigner, err := Compile(&Experiment{
		Name:  "cart_coupon",
		Arms:  []Arm{{"control", 20}, {"treatment", 80}},
		Layer: &Layer{Name: "cart", From: 0, To: 100},
	})
	if err != nil {
		t.Fatal(err)
	}
	holdout := Holdout{Percent: 5, Salt: "global-2026"}
	// Built at run time, so that the compiler cannot work the hash out.
	units := []string{"u1", strings.Repeat("long-user-id-", 30), "72d76fde-8bb3-4e00-8c23-a032dfed738c"}
	for name, f := range map[string]func(unit string) error{
		"Assign":  func(unit string) error { _, err := assigner.Assign(unit); return err },
		"Holdout": func(unit string) error { _, err := holdout.In(unit); return err },
		"Bucket":  func(unit string) error { _, err := Bucket(KindVariant, "cart_coupon", unit); return err },
	} {
		for _, unit := range units {
			if n := testing.AllocsPerRun(100, func() {
				if err := f(unit); err != nil {
					t.Error(err)
				}
			}); n != 0 {
				t.Errorf("%s of a unit of %d bytes: %v allocations, want 0", name, len(unit), n)
			}
		}
	}
}

func BenchmarkAssign(b *testing.B) {
	a, err := Compile(&Experiment{Name: "cart_coupon", Arms: []Arm{{"control", 20}, {"treatment", 80}}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Assign("541312140"); err != nil {
			b.Fatal(err)
		}
	}
}
