// Package kafka is the processor's Kafka: group membership and transactions
// (Group), the records of the partitions owned (Source), and what the commit
// protocol wants to know (Inspect).
//
// Membership and fetching are two clients. The group's client never fetches: it
// tells which partitions are owned, and runs the transactions. The source's
// client fetches directly, from the offsets that the recovered state demands,
// which need not be the committed ones.
package kafka
