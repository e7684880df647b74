package rulefile

// Suggest is the way out for a wrong name: the nearest of the right ones, else
// all of them; what says in the plural what they are. Other files that people
// write beside rules use it too.
func Suggest(written string, names []string, what string) string {
	return didYouMean(written, names, what)
}
