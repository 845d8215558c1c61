// SPDX-License-Identifier: AGPL-3.0-only

package kubefile

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// The tags of YAML nodes that are told apart here (YAML 1.2, chapter 10).
const (
	tagMapping  = "!!map"
	tagSequence = "!!seq"
	tagString   = "!!str"
	tagNull     = "!!null"
	tagMerge    = "!!merge" // "<<", which YAML 1.1 has and JSON has not
)

// What an existing kubeconfig may be at most. Real ones have some kilobytes and six levels; the writer's indentation
// makes a text grow with the square of its depth.
const (
	maxSize  = 1 << 20
	maxDepth = 64
)

// document is an existing kubeconfig. Its root is nil when the text has no content.
type document struct{ node, root *yaml.Node }

// read takes an existing kubeconfig apart, strictly: whatever could be read in two ways, or would not survive being
// written again, is an error. Errors tell lines and keys but never values, because kubeconfigs hold secrets.
func read(existing string) (document, error) {
	doc, fault := parse(existing)
	if fault != "" {
		return document{}, errors.New("cannot read kubeconfig: " + fault)
	}
	return doc, nil
}

func parse(existing string) (doc document, fault string) {
	if len(existing) > maxSize {
		return document{}, fmt.Sprintf("it is larger than %d bytes", maxSize)
	}
	if !utf8.ValidString(existing) {
		return document{}, "it is not UTF-8 text"
	}
	decoder := yaml.NewDecoder(strings.NewReader(existing))
	var node, second yaml.Node
	if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
		return document{}, ""
	} else if err != nil {
		return document{}, syntaxFault(err)
	}
	if err := decoder.Decode(&second); err == nil {
		return document{}, fmt.Sprintf("line %d begins a second document", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return document{}, syntaxFault(err)
	}
	if fault := treeFault(&node, 0); fault != "" {
		return document{}, fault
	}
	doc = document{node: &node, root: node.Content[0]}
	if doc.root.Tag == tagNull {
		doc.root = nil
		return doc, ""
	}
	return doc, doc.fault()
}

// syntaxFault keeps the line of the parser's error only: the rest may quote the text.
func syntaxFault(err error) string {
	var line int
	if _, scanErr := fmt.Sscanf(err.Error(), "yaml: line %d:", &line); scanErr != nil {
		return "it is not YAML"
	}
	return fmt.Sprintf("it is not YAML, near line %d", line)
}

// treeFault finds what is valid YAML but not plain data. An alias can make a small text grow without bounds, and writing
// into what it stands for would change other places as well.
func treeFault(node *yaml.Node, depth int) string {
	switch {
	case depth > maxDepth:
		return fmt.Sprintf("line %d is nested deeper than %d levels", node.Line, maxDepth)
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		return fmt.Sprintf("line %d has an anchor or an alias", node.Line)
	case node.Style&yaml.TaggedStyle != 0 || node.Tag == tagMerge:
		return fmt.Sprintf("line %d has a tag or a merge key", node.Line)
	}
	keys := map[string]bool{}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			if child.Kind != yaml.ScalarNode {
				return fmt.Sprintf("line %d has a key that is not a text", child.Line)
			}
			if keys[child.Value] {
				return fmt.Sprintf("line %d has a key that its mapping has already", child.Line)
			}
			keys[child.Value] = true
		}
		if fault := treeFault(child, depth+1); fault != "" {
			return fault
		}
	}
	return ""
}

// fault says why plain data is no kubeconfig. Like kubectl it lets apiVersion, kind and each list be empty or absent.
func (d document) fault() string {
	if d.root.Kind != yaml.MappingNode {
		return "it is not a mapping"
	}
	for _, field := range []struct{ key, want string }{{"apiVersion", "v1"}, {"kind", "Config"}, {"current-context", ""}} {
		at, value := pair(d.root, field.key)
		switch {
		case at == nil || value.Tag == tagNull:
		case value.Tag != tagString:
			return fmt.Sprintf("%s in line %d is not a text", field.key, at.Line)
		case field.want != "" && value.Value != "" && value.Value != field.want:
			return fmt.Sprintf("%s in line %d is not %s", field.key, at.Line, field.want)
		}
	}
	for _, noun := range []string{nounCluster, nounUser, nounContext} {
		if fault := d.listFault(noun); fault != "" {
			return fault
		}
	}
	return ""
}

func (d document) listFault(noun string) string {
	at, list := pair(d.root, noun+"s")
	if at == nil || list.Tag == tagNull {
		return ""
	}
	if list.Kind != yaml.SequenceNode {
		return fmt.Sprintf("%ss in line %d is not a list", noun, at.Line)
	}
	lines := map[string]int{}
	for i, item := range list.Content {
		_, name := pair(item, "name")
		if name == nil || name.Tag != tagString || name.Value == "" {
			return fmt.Sprintf("%ss[%d] in line %d is not a mapping with a name", noun, i, item.Line)
		}
		if before, taken := lines[name.Value]; taken {
			return fmt.Sprintf("%ss[%d] in line %d has the name of the one in line %d", noun, i, item.Line, before)
		}
		lines[name.Value] = item.Line
	}
	return ""
}

// items are the elements of the list for a noun.
func (d document) items(noun string) []*yaml.Node {
	if _, list := pair(d.root, noun+"s"); list != nil {
		return list.Content
	}
	return nil
}

// find gives the entry of a name; ok is false when it is not there.
func (d document) find(noun, name string) (e entry, ok bool) {
	for _, item := range d.items(noun) {
		if _, value := pair(item, "name"); value.Value == name {
			return entry{noun: noun, name: name, node: item}, true
		}
	}
	return entry{}, false
}

// currentContext is the value of that key, empty when there is none.
func (d document) currentContext() string {
	if _, value := pair(d.root, "current-context"); value != nil && value.Tag == tagString {
		return value.Value
	}
	return ""
}
