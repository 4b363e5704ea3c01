"""Says what lxml's XSD validator thinks of each document.

Usage: xsd_verdict.py SCHEMA DOCUMENTS

DOCUMENTS holds one JSON string a line. One line is printed for each: "valid", "invalid" or "malformed", a tab, and the
validator's reason. A document with a document type is "doctype": an XSD has no word on those, the prompt language
refuses them. One with another root than <prompt> is read as a block without the root, which is how prompts are written.
"""

import json
import sys

from lxml import etree


def verdict(schema, text):
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        document = etree.fromstring(text.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        return "malformed", str(error)
    if document.getroottree().docinfo.doctype:
        return "doctype", "there is a document type"
    if document.tag != "prompt":
        root = etree.Element("prompt")
        root.append(document)
        document = root
    if schema.validate(document):
        return "valid", ""
    return "invalid", schema.error_log.last_error.message


def main():
    schema = etree.XMLSchema(etree.parse(sys.argv[1]))
    with open(sys.argv[2], encoding="utf-8") as documents:
        for line in documents:
            kind, reason = verdict(schema, json.loads(line))
            print(f"{kind}\t{' '.join(reason.split())}")


if __name__ == "__main__":
    main()
