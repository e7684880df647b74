package redis

// grouping sorts users by bucket, by counting; those of one bucket stay in their
// order. It may be used again.
type grouping struct {
	bucket []int32 // of each user
	order  []int32
	first  []int32 // of each bucket: its first place in order
}

// sort groups n users by the buckets of p.
func (g *grouping) sort(p *partition, n int, user func(i int) string) {
	g.bucket = grow(g.bucket, n)
	g.order = grow(g.order, n)
	g.first = grow(g.first, len(p.users)+2)
	clear(g.first)
	// Bucket k is counted two places further on, so that first[k+1] is where it
	// begins, and, when its users have been placed, where it ends.
	for i := range g.bucket {
		k := p.bucketOf(user(i))
		g.bucket[i] = int32(k)
		g.first[k+2]++
	}
	for k := 2; k < len(g.first); k++ {
		g.first[k] += g.first[k-1]
	}
	for i, k := range g.bucket {
		g.order[g.first[k+1]] = int32(i)
		g.first[k+1]++
	}
}

// in lists the users of a bucket.
func (g *grouping) in(bucket int) []int32 {
	return g.order[g.first[bucket]:g.first[bucket+1]]
}

// grow returns s with length n; what it holds is of no matter.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
