// Package pullrequest speaks to GitHub about pull requests: it lists ours,
// opens, edits, labels and comments, and tells who set a label. It decides
// nothing. Its transport keeps GitHub's manners: mutations one at a time and
// paced, rate limits waited for, the token sent to the API's host only.
package pullrequest
