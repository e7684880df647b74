package rulefile
import ("testing";"fmt";"time";"strings";"strconv")
func TestTmp(t *testing.T){
 n := 256<<10
 for _, p := range []string{"a: b\n","- ","[","{a: ","\"","\\","? ","&a ","*a ","|\n",">\n","#","'","%","---\n","a ","a\n","-\n","- a\n","a:\n","!","!a ","{","}","]","[]","{},","[a, ","'' ","\t"," ","\n","\r","@","`","a: [","a: |\n","a: >\n  b\n","x: 'a\n","- - ","... ","...\n","<<: *a\n", "a: &a\n", "- &a a\n", "- *a\n", "0", "0 ", "1e", "~ ", ": ", ":", ", ", "rules:\n","한", "\xff", "\x00", "? a\n", "? [", "- [a", "- {a: b}\n", "- {a: b, c: [d]}\n", "a#", "a #\n"} {
  for _, pre := range []string{"", "rules:\n", "rules:\n- name: ", "rules: [", "a: \"", "a: |\n ", "[", "a: "} {
  s := pre+strings.Repeat(p, (n-len(pre))/len(p))
  t0 := time.Now(); _, err := Parse([]File{{"x",[]byte(s)}}); d := time.Since(t0)
  if d > 500*time.Millisecond { m := ""; if err!=nil { m = strings.SplitN(err.Error(),"\n",2)[0] }; if len(m)>80 {m=m[:80]}; fmt.Printf("%q+%q* %v %s\n", pre, p, d, m) }
  }
 }
 for _, p := range []string{"(","!","a.","[","-(","true?true:","1+","event.a||","event.a&&","{1:","event.a.all(x,","[1].map(x,","size(","event.a in [","event.a[","\"\\\\","-","event.a==", "'a'+", "event.a.b.c.", "now-", "has(event.a)&&","[1,2,3].map(x,[1,2,3].map(y,x))+","event.a.exists(x,x)&&", "a", "1,", "[1].exists(x,true)||"} {
  for _, end := range []string{"", "true", "1", "event.a"} {
  s := strings.Repeat(p, 4000/len(p))+end
  y := "rules:\n- name: r\n  on: a\n  where: "+strconv.Quote(s)+"\n  send: {channel: c, class: ad, template: t}\n"
  t0 := time.Now(); _, err := Parse([]File{{"x",[]byte(y)}}); d := time.Since(t0)
  m := ""; if err!=nil { m = strings.SplitN(err.Error(),"\n",2)[0] }; if len(m)>100 {m=m[:100]}
  if d > 150*time.Millisecond { fmt.Printf("CEL %q*+%q %v %s\n", p, end, d, m) }
 }}
}
