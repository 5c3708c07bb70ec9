"""A data set: questions and answers in a file with three columns, language, question, answer."""

from hbr.data.dataset import Dataset
from hbr.data.tasks import EvaluationData, Passage, Query


def read(source, passage):
    """Line n of every language is concept n."""
    queries, passages, relevant, count = [], [], {}, {}
    for line in source.read_text(encoding="utf-8").splitlines():
        language, question, answer = line.split("\t")
        count[language] = count.get(language, 0) + 1
        concept = str(count[language])
        queries.append(Query(concept, language, concept, question))
        passages.append(Passage(concept, language, answer))
        relevant.setdefault(concept, []).append((language, concept))
    passages.sort(key=lambda passage: passage.language)
    return EvaluationData(queries, passages, relevant, "one answer a question")


FAQ = Dataset("faq", read, "questions and answers", "any", protocol="one answer a question")
