// SPDX-License-Identifier: AGPL-3.0-only

package kubefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Overwrite takes the place of a former sum where an operator wants entries of these names replaced or removed,
// whoever wrote them.
const Overwrite = "*"

// ErrForeign says that an entry of a wanted name is there, and neither says what it should nor is what was written formerly.
var ErrForeign = errors.New("is there and not from this charm")

// Merge puts the cluster, user and context of k into an existing kubeconfig and keeps everything else of it: other
// entries, unknown fields, comments, order, and the current-context if there is one. Layout is not kept: what changes
// is written anew, indented by two. Text that needs no change is given back byte for byte, so merging twice is merging
// once; the empty text gives what Render gives.
//
// An entry of one of the names is replaced only when it is known: when it says what k says, or when it is recorded in
// one of the former sums (see Sum). More than one is for who records a sum before writing, and cannot know after a crash
// which of the two was written. Anything else of that name is an ErrForeign. Comments on a replaced entry move above it,
// and a context's namespace stays.
func Merge(existing string, k Kubeconfig, former ...string) (string, error) {
	if fault := k.fault(); fault != "" {
		return "", errors.New("cannot merge kubeconfig: " + fault)
	}
	doc, err := read(existing)
	if err != nil {
		return "", err
	}
	switch {
	case doc.holds(k):
		return existing, nil
	case doc.node == nil: // nothing, or comments only, which the parser does not give
		return prepend(strings.TrimSpace(existing), k)
	case doc.root == nil || len(doc.root.Content) == 0:
		doc.fill(k.root())
	default:
		if err := doc.put(k, former); err != nil {
			return "", err
		}
	}
	return doc.write()
}

// Holds reports whether an existing kubeconfig has the entries of k and a current-context, so that merging would change
// nothing.
func Holds(existing string, k Kubeconfig) bool {
	doc, err := read(existing)
	return err == nil && k.fault() == "" && doc.holds(k)
}

// Remove takes the entries of these names out of an existing kubeconfig where they are still what one of the former sums
// records, and the current-context if it was the context removed. The rest stays, as does an entry that somebody
// changed. The result is empty when nothing is left that anybody but a former Merge wrote: the file can go.
func Remove(existing string, names Names, former ...string) (string, error) {
	doc, err := read(existing)
	if err != nil {
		return "", err
	}
	removed := false
	for _, named := range []struct{ noun, name string }{
		{nounCluster, names.Cluster}, {nounUser, names.User}, {nounContext, names.Context},
	} {
		present, found := doc.find(named.noun, named.name)
		if !found || !present.recorded(former) {
			continue
		}
		removed = true
		key, list := pair(doc.root, named.noun+"s")
		list.Content = slices.DeleteFunc(list.Content, func(item *yaml.Node) bool { return item == present.node })
		if len(list.Content) == 0 && list.LineComment == "" { // "[]" stands on the key's line, before its comment
			list.LineComment, key.LineComment = key.LineComment, ""
		}
		if named.noun == nounContext && doc.currentContext() == named.name {
			dropPair(doc.root, "current-context")
		}
	}
	switch {
	case !removed:
		return existing, nil
	case doc.bare():
		return "", nil
	}
	return doc.write()
}

// holds reports whether each entry of k is there and some context is the current one.
func (d document) holds(k Kubeconfig) bool {
	return d.currentContext() != "" && !slices.ContainsFunc(k.entries(), func(wanted entry) bool {
		present, found := d.find(wanted.noun, wanted.name)
		return !found || present.sum() != wanted.sum()
	})
}

// recorded reports whether an entry is one that a former sum was made of.
func (e entry) recorded(former []string) bool {
	if slices.Contains(former, Overwrite) {
		return true
	}
	sum := e.sum()
	return slices.ContainsFunc(former, func(sums string) bool { return slices.Contains(strings.Split(sums, "."), sum) })
}

// fill makes a document without content one with that of root; comments stay.
func (d *document) fill(root *yaml.Node) {
	old := d.node.Content[0]
	root.HeadComment, root.FootComment = old.HeadComment, old.FootComment
	if old.LineComment != "" {
		root.HeadComment = strings.Join(append(comments(&yaml.Node{HeadComment: root.HeadComment}), old.LineComment), "\n")
	}
	d.node.Content[0], d.root = root, root
}

// put adds or replaces the entries of k, and makes its context the current one when there is none. Nothing is changed
// before every entry is known to be ours.
func (d document) put(k Kubeconfig, former []string) error {
	wanted := k.entries()
	for _, e := range wanted {
		present, found := d.find(e.noun, e.name)
		if found && present.sum() != e.sum() && !present.recorded(former) {
			return fmt.Errorf("cannot merge kubeconfig: %s %q %w", e.noun, e.name, ErrForeign)
		}
	}
	for _, e := range wanted {
		present, found := d.find(e.noun, e.name)
		switch {
		case !found:
			list := d.list(e.noun)
			list.Content = append(list.Content, e.node)
		case present.sum() != e.sum():
			keepNamespace(present.node, e.node)
			e.node.HeadComment = strings.Join(comments(present.node), "\n")
			*present.node = *e.node
		}
	}
	if d.currentContext() != "" {
		return nil
	}
	key, value := pair(d.root, "current-context")
	if key == nil {
		d.root.Content = append(d.root.Content, text("current-context"), text(k.Context))
		return nil
	}
	settle(key, value, text(k.Context))
	return nil
}

// list gives the list for a noun to append to, and adds it where it is missing, null or an empty "[]".
func (d document) list(noun string) *yaml.Node {
	key, list := pair(d.root, noun+"s")
	switch {
	case key == nil:
		list = sequence()
		d.root.Content = append(d.root.Content, text(noun+"s"), list)
	case list.Tag == tagNull || len(list.Content) == 0:
		settle(key, list, sequence())
	}
	return list
}

// settle gives a key a value in the place of none; comments stay. One behind the value moves behind the key, where it
// can stand even when the value is a list.
func settle(key, old, value *yaml.Node) {
	if old.LineComment != "" && key.LineComment == "" && value.Kind != yaml.ScalarNode {
		key.LineComment, old.LineComment = old.LineComment, ""
	}
	value.HeadComment, value.LineComment, value.FootComment = old.HeadComment, old.LineComment, old.FootComment
	*old = *value
}

// keepNamespace copies the namespace of a context to the one that replaces it; see entry.sum.
func keepNamespace(from, to *yaml.Node) {
	_, old := pair(from, nounContext)
	_, content := pair(to, nounContext)
	if _, namespace := pair(old, "namespace"); namespace != nil && content != nil {
		kept := *namespace
		kept.HeadComment, kept.LineComment, kept.FootComment = "", "", "" // these move above the entry
		content.Content = append(content.Content, text("namespace"), &kept)
	}
}

// bare reports whether a document has nothing but an empty kubeconfig: no entries, no unknown fields, no comments.
func (d document) bare() bool {
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		value := d.root.Content[i+1]
		switch d.root.Content[i].Value {
		case "apiVersion", "kind":
		case "clusters", "users", "contexts", "preferences":
			if len(value.Content) > 0 {
				return false
			}
		case "current-context":
			if d.currentContext() != "" {
				return false
			}
		default:
			return false
		}
	}
	return len(comments(d.node)) == 0
}

// write gives the document as text, after reading it back: the YAML library places comments by guessing, and an
// operator's file is no place for a guess that failed.
func (d document) write() (string, error) {
	written, err := encode(d.node)
	if err != nil {
		return "", err
	}
	if err := survives(written, d.root); err != nil {
		return "", err
	}
	return written, nil
}

// prepend renders k below comments.
func prepend(comments string, k Kubeconfig) (string, error) {
	written, err := k.Render()
	if err != nil || comments == "" {
		return written, err
	}
	written = comments + "\n" + written
	if err := survives(written, k.root()); err != nil {
		return "", err
	}
	return written, nil
}

// survives makes sure that a text to be written says what root says.
func survives(written string, root *yaml.Node) error {
	again, err := read(written)
	if err != nil {
		return fmt.Errorf("cannot write kubeconfig: the result cannot be read: %w", err)
	}
	if again.root == nil || !same(again.root, root) {
		return errors.New("cannot write kubeconfig: the result would say something else; remove unusual comments and layout from it")
	}
	return nil
}
