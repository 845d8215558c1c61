// SPDX-License-Identifier: AGPL-3.0-only

package kubefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// text is a string as a YAML scalar, in quotes where it would be read as something else. The encoder knows the words of
// YAML 1.1 ("yes", "1:20") too, which Kubernetes' reader still takes for booleans and numbers; a node made by hand
// would not be quoted for them.
func text(value string) *yaml.Node {
	var node yaml.Node
	if err := node.Encode(value); err != nil || node.Tag != tagString { // "<<", which the encoder takes for a merge key
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagString, Value: value, Style: yaml.DoubleQuotedStyle}
	}
	return &node
}

// mapping is a YAML mapping of alternating keys (string) and values (*yaml.Node).
func mapping(pairs ...any) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode, Tag: tagMapping}
	for _, item := range pairs {
		switch item := item.(type) {
		case string:
			node.Content = append(node.Content, text(item))
		case *yaml.Node:
			node.Content = append(node.Content, item)
		}
	}
	return node
}

func sequence(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: tagSequence, Content: items}
}

// pair finds a key of a mapping and its value; both are nil when it is not there.
func pair(node *yaml.Node, key string) (at, value *yaml.Node) {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}

// dropPair takes a key and its value out of a mapping.
func dropPair(node *yaml.Node, key string) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			node.Content = slices.Delete(node.Content, i, i+2)
			return
		}
	}
}

// comments gives all comments of a node and below it, in the order of the text.
func comments(node *yaml.Node) []string {
	found := []string{node.HeadComment, node.LineComment}
	for _, child := range node.Content {
		found = append(found, comments(child)...)
	}
	found = append(found, node.FootComment)
	return slices.DeleteFunc(found, func(comment string) bool { return comment == "" })
}

// encode writes a document or a mapping as YAML, indented by two.
func encode(node *yaml.Node) (string, error) {
	var written bytes.Buffer
	encoder := yaml.NewEncoder(&written)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return "", errors.New("cannot write kubeconfig: it has something that YAML cannot express")
	}
	if err := encoder.Close(); err != nil {
		return "", errors.New("cannot write kubeconfig: it has something that YAML cannot express")
	}
	return written.String(), nil
}

// canonical writes a node's meaning: two nodes get the same text when they say the same, in whatever order of keys,
// style and comments. Lengths stand before texts, so that no content can pass for structure.
func canonical(out *strings.Builder, node *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		keys := make([]int, 0, len(node.Content)/2)
		for i := 0; i+1 < len(node.Content); i += 2 {
			keys = append(keys, i)
		}
		slices.SortFunc(keys, func(a, b int) int { return strings.Compare(node.Content[a].Value, node.Content[b].Value) })
		fmt.Fprintf(out, "{%d ", len(keys))
		for _, i := range keys {
			canonical(out, node.Content[i])
			canonical(out, node.Content[i+1])
		}
	case yaml.SequenceNode, yaml.DocumentNode:
		fmt.Fprintf(out, "[%d ", len(node.Content))
		for _, child := range node.Content {
			canonical(out, child)
		}
	case yaml.ScalarNode, yaml.AliasNode: // read refuses aliases
		value := node.Value
		if node.Tag == tagNull { // written as null, ~ or nothing
			value = ""
		}
		fmt.Fprintf(out, "%s %d %s ", node.Tag, len(value), value)
	}
}

// same reports whether two nodes say the same.
func same(a, b *yaml.Node) bool {
	var first, second strings.Builder
	canonical(&first, a)
	canonical(&second, b)
	return first.String() == second.String()
}

// sum is the SHA-256 of an entry's meaning. The namespace of a context is left out: "kubectl config set-context
// --namespace" changes it on any entry, and where an operator works by default is no business of ours.
func (e entry) sum() string {
	node := e.node
	if e.noun == nounContext {
		node = withoutNamespace(node)
	}
	var meaning strings.Builder
	meaning.WriteString(e.noun + " ")
	canonical(&meaning, node)
	digest := sha256.Sum256([]byte(meaning.String()))
	return hex.EncodeToString(digest[:])
}

// withoutNamespace gives a context's entry with no namespace; the given one stays as it is.
func withoutNamespace(node *yaml.Node) *yaml.Node {
	_, content := pair(node, nounContext)
	if at, _ := pair(content, "namespace"); at == nil {
		return node
	}
	bare := *content
	bare.Content = slices.Clone(content.Content)
	dropPair(&bare, "namespace")
	outer := *node
	outer.Content = slices.Clone(node.Content)
	outer.Content[slices.Index(outer.Content, content)] = &bare
	return &outer
}

// Sum is a record of what the kubeconfig's entries say, by which Merge and Remove know them again later: the SHA-256 of
// each entry, of its name and content, in hexadecimal and joined by dots. There is one for each, so that an entry that
// somebody changed or removed does not make the others foreign.
func (k Kubeconfig) Sum() string {
	var sums []string
	for _, e := range k.entries() {
		sums = append(sums, e.sum())
	}
	return strings.Join(sums, ".")
}
