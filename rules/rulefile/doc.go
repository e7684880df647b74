// Package rulefile turns rule files, YAML with CEL expressions inside, into a
// compiled rules.Set.
//
// Everything is checked when a file is read: keys, names, durations and the
// types of expressions as far as they are known. What is wrong is reported all
// at once, each Problem with its place in the file and the way out.
//
// Compare tells what an edit does to what is there already: pending instances,
// what is kept about users, running experiments. KeyTables lists all keys.
//
// An expression has two back ends. Comparisons, logic, membership and simple
// time arithmetic on fields, attributes and metrics become closures that
// allocate nothing; everything else runs as a CEL program. Both give the same
// answers, which a property test holds them to.
package rulefile
