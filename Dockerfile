# One image: the bot is `run`, its default; `tell` asks about one model; the Space is `python -m space`.
#   docker build -t hubbot .
#   docker run --rm hubbot tell owner/name
FROM python:3.12-slim

# A user of its own: the bot needs no privileges, and its home is the only place it writes to.
RUN useradd --create-home --uid 1000 hubbot
WORKDIR /app

# The dependencies first and by themselves, so that a change of the code does not fetch torch again.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > needed.txt \
    && pip install --no-cache-dir --constraint constraints.txt --requirement needed.txt

COPY README.md LICENSE ./
COPY hubbot ./hubbot
COPY space ./space
RUN pip install --no-cache-dir --constraint constraints.txt .

USER hubbot
# The database, its lock and fetched experts; without a volume here everything is forgotten.
ENV HUBBOT_HOME=/home/hubbot/data
VOLUME /home/hubbot/data

ENTRYPOINT ["hubbot"]
CMD ["run"]
