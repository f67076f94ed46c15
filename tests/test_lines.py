"""Where the lines of a text go on in the next ones, and where they were ended on purpose."""

from __future__ import annotations

import random
import textwrap

import pytest

from qa.sentences import split
from qa.types import BlockKind


def parts(text: str, kind: BlockKind = "paragraph") -> list[str]:
    """The sentences, each on one line."""
    return [" ".join(text[start:end].split()) for start, end in split(text, 0, len(text), kind)]


# Each line is a sentence of its own.
RECORDS = {
    "phone list with dots": """\
Phone numbers that matter
Swarm line ........ 0741 55 700
Veterinary office . 0741 900 33
Fire brigade ...... 112
Electrician Maier . 0741 31 888
Extractor service . 0800 555 12 12 (Mon-Fri, 8-16)""",
    "log by days": """\
2024-02-14 first cleansing flight at the monastery garden
2024-03-30 hive 7 queenless, united with hive 9
2024-04-21 swarm caught in the pear tree of the vicarage, 2.1 kg
2024-05-12 supers put on all hives at the brickworks""",
    "log by seconds": """\
[12:01:07] worker 3 has started and waits for its first file
[12:01:09] worker 3 reads annual-report-2023.pdf, 214 pages
[12:04:41] worker 3 has finished""",
    "log of one program": """\
kernel: usb 1-2 was disconnected while it was still being written to
kernel: usb 1-2 found again as a high-speed device by the controller
kernel: three blocks were lost""",
    "German dates": """\
12.03.2024 Weiden am Bach geschnitten und die Wege frei geräumt
02.04.2024 Zaun an der Nordseite erneuert, zwei Pfosten sind noch locker
30.04.2024 Maibaum""",
    "address": "Refdesk Beekeepers e.V.\nHauptstraße 5\n78628 Rottweil\nGermany",
    "Russian address": "Почта России\nул. Ленина, дом 5, квартира 12\nг. Москва\n101000",
    "signature": "Kind regards\nAnna Schmidt\nHead of Sales\nTel. 0741 333-12",
    "keys and values": """\
Name: Ines Sol
Ship: Albatross, a barque of 1912 that was rebuilt in Gdansk after the war
Home port: Bremen
Berths: 42""",
    "keys and values in Chinese": "电话：0741 55700\n地址：北京市海淀区中关村大街二十七号\n邮编：100080",
    "mail head": """\
From: Tobias <tobias@example.org>
To: the board of the association and all who help at the open day <board@example.org>
Subject: Benches
Date: Mon, 12 May 2025 10:00:00 +0200""",
    "ingredients": "200 g flour\n2 eggs\n1 pinch of salt\n250 ml milk\nbutter for the pan",
    "ingredients with small letters": "flour\ntwo eggs\nsalt\nhalf a litre of milk",
    "sonnet": """\
Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd""",
    "German poem": """\
Wer reitet so spät durch Nacht und Wind?
Es ist der Vater mit seinem Kind;
Er hat den Knaben wohl in dem Arm,
Er faßt ihn sicher, er hält ihn warm.""",
    "Russian poem": """\
Мой дядя самых честных правил,
Когда не в шутку занемог,
Он уважать себя заставил
И лучше выдумать не мог.""",
    "Chinese poem": "床前明月光，\n疑是地上霜。\n举头望明月，\n低头思故乡。",
    "songs that begin alike": """\
Row the boat over the river to the other side where the corn is high
Row the boat back again before the evening comes and the wind is strong
Row the boat home""",
    "hexameters": """\
Sing of the shepherd who counted his lambs on the slopes of the mountain,
Lambs that were black as the night and as white as the snow in the hollow,
Walked with the wind in his beard to the fold by the sea in the evening,
Listened to waves and to gulls and the bells of the boats that came homeward,
Lit him a fire of driftwood and sat there alone with his flute,
Played till the stars had come out and the lambs were asleep in the heather,
Never a word""",
    "years of a life": """\
1998 born in Rottweil as the second of three daughters of a carpenter and a nurse
2016 school
2019 apprenticeship at the savings bank in Villingen, with distinction; then a year in Canada""",
    "requests": """\
192.168.0.17 asks for /index.html and gets it within forty milliseconds at noon
10.0.0.3 asks for a page that has never been there, and is told so, at five past
172.16.254.1 is refused""",
    "table made with blanks": """\
Part                  Pin     Colour
HX711 data            GPIO 5  green
HX711 clock           GPIO 6  yellow
Temperature probe     GPIO 4  white, with a second wire that must be kept dry""",
    "table made with tabs": "Month\tRain\nJanuary\t81 mm\nFebruary\t64 mm",
    "table made with bars": """\
| Month | Rain that was measured at the gauge behind the school | Sun |
| January | 81 mm | 40 h |
| February | 64 mm, of which a half fell in one single night | 62 h |""",
    "contents with spaced dots": """\
Introduction . . . . . . . . . . . . . . . . . . . . . . . 5
Methods . . . . . . . . . . . . . . . . . . . . . . . . . 17
Results and what they mean for the coming years . . . . . 103""",
    "timetable": """\
08:15 Villingen, platform 2, change at Rottweil for Stuttgart main station
09:40 Rottweil
10:02 Horb, platform 1, with bicycles only in the last coach of the train""",
    "headlines": """\
New bridge over the Neckar opens in May
Council rejects plans for a car park below the market square
Museum finds lost painting in its own cellar
School gets a garden""",
    "three headlines": """\
New bridge over the Neckar
Council rejects plans for a car park below the market square
Museum finds lost painting in its own cellar, behind a boiler""",
    "doctor's visits, long lines": """\
12 March 2024 Fever for three days, no cough, lungs free, throat red; to drink much and come again on Friday, else call
15 March 2024 Fever gone
2 June 2024 Vaccination against tetanus""",
    "no wrapping at all, and small letters": (
        "the first note says that the key of the shed hangs behind the door of the kitchen, where it has always been, "
        "or nearly always\nthe second one says that somebody has to look after the pump before the frost comes, which "
        "may be as early as October"
    ),
    "no wrapping at all, and long names": (
        "moved /home/tobias/association/minutes/2023/board-meeting-of-march.pdf to the folder of the archive, because "
        "it is older than two years and nobody has opened it, as far as is known, since the summer\n"
        "kept /home/tobias/association/minutes/2025/board-meeting-of-march.pdf, which was opened last week by "
        "two people, and by one more on the day before that"
    ),
    "no wrapping at all": (
        "A note that its author typed without ever pressing the return key runs on and on, however long it may become, "
        "because the editor wraps it on the screen\nAnother one is short\n"
        "And a third one is nearly as long as the width of a page that is printed in columns"
    ),
}

# Prose that was wrapped: what its sentences are.
PROSE = {
    "English": (
        """\
The harbour master keeps the register of all ships that have called at the
port since 1871. It was copied by hand until Dr. Miller, who came from
Hull, bought a typewriter, i.e. until the spring of 1903.""",
        [
            "The harbour master keeps the register of all ships that have called at the port since 1871.",
            "It was copied by hand until Dr. Miller, who came from Hull, bought a typewriter, i.e. until the spring "
            "of 1903.",
        ],
    ),
    "a sentence ends with the line": (
        """\
The museum is closed on Mondays and on the two days before Christmas Eve.
Groups of more than ten people are asked to call before they come, because
the rooms are small.""",
        [
            "The museum is closed on Mondays and on the two days before Christmas Eve.",
            "Groups of more than ten people are asked to call before they come, because the rooms are small.",
        ],
    ),
    "an abbreviation ends the line": (
        """\
The first survey of the moor was made by order of the parish by one Prof.
Hansen, who drew a map of it.""",
        [
            "The first survey of the moor was made by order of the parish by one Prof. Hansen, who drew a map of it.",
        ],
    ),
    "a colon and a semicolon end lines": (
        """\
There are three things that everybody who goes out on the ice must carry:
a rope, a whistle and a pair of ice picks, which are worn on the outside;
nobody has ever found them in a rucksack in time.""",
        [
            "There are three things that everybody who goes out on the ice must carry: a rope, a whistle and a pair of "
            "ice picks, which are worn on the outside; nobody has ever found them in a rucksack in time.",
        ],
    ),
    "ragged": (
        """\
The extractor is cleaned with cold water first, because
hot water melts the wax and spreads it all over the drum.
Then it is rinsed, dried
and covered; the bearings get a drop of oil that is
allowed for food, never the one from the workshop.""",
        [
            "The extractor is cleaned with cold water first, because hot water melts the wax and spreads it all over "
            "the drum.",
            "Then it is rinsed, dried and covered; the bearings get a drop of oil that is allowed for food, never the "
            "one from the workshop.",
        ],
    ),
    "German, with nouns at the beginning of lines": (
        """\
Wer die Hütte im Winter nutzt, heizt zuerst den Ofen in der Küche an und
Wasser wird erst danach aufgedreht. Am Ende ist die gesamte Leitung bis zum
Boden des Kellers zu leeren, weil sie sonst einfriert.""",
        [
            "Wer die Hütte im Winter nutzt, heizt zuerst den Ofen in der Küche an und Wasser wird erst danach "
            "aufgedreht.",
            "Am Ende ist die gesamte Leitung bis zum Boden des Kellers zu leeren, weil sie sonst einfriert.",
        ],
    ),
    "a German date at the beginning of a line": (
        """\
Die Mitgliederversammlung hat die neue Satzung nach langer Aussprache am
3. Mai mit großer Mehrheit beschlossen.""",
        [
            "Die Mitgliederversammlung hat die neue Satzung nach langer Aussprache am 3. Mai mit großer Mehrheit "
            "beschlossen.",
        ],
    ),
    "Russian, with a dash at the beginning of a line": (
        """\
Самая длинная река области, которая впадает в море недалеко от столицы,
— Северная Двина. Её длина с притоками больше тысячи
километров.""",
        [
            "Самая длинная река области, которая впадает в море недалеко от столицы, — Северная Двина.",
            "Её длина с притоками больше тысячи километров.",
        ],
    ),
    "Chinese, without blanks": (
        """\
图书馆每天上午九点开门，晚上八点关门。读者可以借十本书，期限是三十
天；如果没有别人预约，可以再续借一次。遗失的图书要按照原价赔偿，旧
书则由馆员决定价格。""",
        [
            "图书馆每天上午九点开门，晚上八点关门。",
            "读者可以借十本书，期限是三十 天；如果没有别人预约，可以再续借一次。",
            "遗失的图书要按照原价赔偿，旧 书则由馆员决定价格。",
        ],
    ),
    "Japanese, without blanks": (
        """\
この図書館は毎日午前九時に開館し、午後八時に閉館します。本は十冊ま
で借りることができ、期間は三週間です。予約がない場合に限り、もう一
度だけ延長することができます。""",
        [
            "この図書館は毎日午前九時に開館し、午後八時に閉館します。",
            "本は十冊ま で借りることができ、期間は三週間です。",
            "予約がない場合に限り、もう一 度だけ延長することができます。",
        ],
    ),
    "two lines": (
        "Samples are kept in the refrigerator of the laboratory until the courier\ncomes at noon.",
        ["Samples are kept in the refrigerator of the laboratory until the courier comes at noon."],
    ),
    "two lines, of which the first could be longer": (
        "The names of the colours that mark queens stand in the\n[Handbook of 2021] of the association and of "
        "all its members and their bees.",
        [
            "The names of the colours that mark queens stand in the [Handbook of 2021] of the association and "
            "of all its members and their bees.",
        ],
    ),
    "two short lines": ("Some text\nover two lines.", ["Some text over two lines."]),
    "quoted mail": (
        """\
> We have looked at the fence behind the club house again, and it will not
> stand another winter. Could somebody ask the carpenter what a new one
> would cost?""",
        [
            "> We have looked at the fence behind the club house again, and it will not > stand another winter.",
            "Could somebody ask the carpenter what a new one > would cost?",
        ],
    ),
    "an address of the web on a line of its own": (
        """\
The form for the yearly report, which is due in January, can be found at
https://www.example.org/association/forms/2025/yearly-report-of-the-members-and-their-colonies.pdf
and is sent to the treasurer.""",
        [
            "The form for the yearly report, which is due in January, can be found at "
            "https://www.example.org/association/forms/2025/yearly-report-of-the-members-and-their-colonies.pdf "
            "and is sent to the treasurer.",
        ],
    ),
    "an address of the web in a line": (
        "Whoever borrows the extractor writes down when and for how long, see\n"
        "[the rules](https://www.example.org/association/rules/extractor-and-other-devices.html), and cleans it "
        "with cold water and a brush\nbefore it is given back.",
        [
            "Whoever borrows the extractor writes down when and for how long, see "
            "[the rules](https://www.example.org/association/rules/extractor-and-other-devices.html), and cleans it "
            "with cold water and a brush before it is given back.",
        ],
    ),
    "a list's wrapped items": (
        """\
- Candles are dipped at the table beside the door, where the wax cannot be
  spilled on the carpet
- Waffles""",
        [
            "- Candles are dipped at the table beside the door, where the wax cannot be spilled on the carpet",
            "- Waffles",
        ],
    ),
    "Chinese, where punctuation has gone to the next line with its word": (
        """\
图书馆每天上午九点开门，晚上八点关门。读者可以借十本书，期限是三十天
如果没有别人预约，可以再续借一次，但是必须在到期以前提出申请，
遗失的图书要按照原价赔偿，旧书则由馆员决定价格，珍贵的书籍另有
规定，参考书和报纸杂志一律不外借，只能在阅览室里看，复印要先付
费。""",
        [
            "图书馆每天上午九点开门，晚上八点关门。",
            "读者可以借十本书，期限是三十天 如果没有别人预约，可以再续借一次，但是必须在到期以前提出申请， "
            "遗失的图书要按照原价赔偿，旧书则由馆员决定价格，珍贵的书籍另有 "
            "规定，参考书和报纸杂志一律不外借，只能在阅览室里看，复印要先付 费。",
        ],
    ),
    "words before a colon at the beginning of lines": (
        """\
The board has decided on two things, of which the first is new to nobody
here: the fence is mended before the winter, and it has to be paid for by
all: fifty euros each.""",
        [
            "The board has decided on two things, of which the first is new to nobody here: the fence is mended before "
            "the winter, and it has to be paid for by all: fifty euros each.",
        ],
    ),
    "a key that is none": (
        """\
The rain forest of the north has more names than rivers, as it seems, in
Spanish: Selva Amazónica, and also Amazonía, which is used more often; in
Dutch it is the Amazoneregenwoud, which some write with a hyphen, and in
French: Forêt amazonienne.""",
        [
            "The rain forest of the north has more names than rivers, as it seems, in Spanish: Selva Amazónica, and "
            "also Amazonía, which is used more often; in Dutch it is the Amazoneregenwoud, which some write with a "
            "hyphen, and in French: Forêt amazonienne.",
        ],
    ),
    "capitals, ragged": (
        """\
NO SWIMMING IN THE HARBOUR OR WITHIN FIFTY METRES OF THE LOCK GATES AT ANY
TIME OF THE DAY OR NIGHT BY MEMBERS, THEIR GUESTS, THEIR CHILDREN
AND THE CHILDREN OF THEIR GUESTS, WHO ARE NOT ALLOWED TO STAY ON THE QUAY
OR THE PIER WITHOUT AN ADULT WHO HAS BEEN TOLD OF ALL THE DANGERS
AND HAS SIGNED FOR THEM IN THE BOOK WHICH LIES ON THE DESK OF THE HARBOUR
MASTER BETWEEN EIGHT AND NOON ON DAYS WITHOUT FOG, SNOW OR
HAIL.""",
        [
            "NO SWIMMING IN THE HARBOUR OR WITHIN FIFTY METRES OF THE LOCK GATES AT ANY TIME OF THE DAY OR NIGHT BY "
            "MEMBERS, THEIR GUESTS, THEIR CHILDREN AND THE CHILDREN OF THEIR GUESTS, WHO ARE NOT ALLOWED TO STAY ON "
            "THE QUAY OR THE PIER WITHOUT AN ADULT WHO HAS BEEN TOLD OF ALL THE DANGERS AND HAS SIGNED FOR THEM IN "
            "THE BOOK WHICH LIES ON THE DESK OF THE HARBOUR MASTER BETWEEN EIGHT AND NOON ON DAYS WITHOUT FOG, SNOW OR "
            "HAIL.",
        ],
    ),
    "capitals": (
        """\
NO SWIMMING IN THE HARBOUR OR WITHIN FIFTY METRES OF THE LOCK GATES AT ANY
TIME OF THE DAY OR NIGHT. CHILDREN ARE NOT ALLOWED TO STAY ON THE QUAY
WITHOUT AN ADULT.""",
        [
            "NO SWIMMING IN THE HARBOUR OR WITHIN FIFTY METRES OF THE LOCK GATES AT ANY TIME OF THE DAY OR NIGHT.",
            "CHILDREN ARE NOT ALLOWED TO STAY ON THE QUAY WITHOUT AN ADULT.",
        ],
    ),
    "one line that has grown": (
        """\
The keys of the boat house hang in the kitchen of the caretaker, who is at
home in the evening. The members sign for them in the green book of Mr.
Hansen, which lies below the hook on the left, and was last filled in, as it seems, by somebody or other in May.
The boats are cleaned before they are put back, with the brushes of Mr.
Olsen and no others. Whoever finds damage writes it on the board at the
Western door, with the day and a name. A new board has been asked for in
April and is said to be on its way. Oars are put back on the rack of the
First floor.""",
        [
            "The keys of the boat house hang in the kitchen of the caretaker, who is at home in the evening.",
            "The members sign for them in the green book of Mr. Hansen, which lies below the hook on the left, and was "
            "last filled in, as it seems, by somebody or other in May.",
            "The boats are cleaned before they are put back, with the brushes of Mr. Olsen and no others.",
            "Whoever finds damage writes it on the board at the Western door, with the day and a name.",
            "A new board has been asked for in April and is said to be on its way.",
            "Oars are put back on the rack of the First floor.",
        ],
    ),
}

# Both in one block, without a blank line between them.
MIXED = {
    "a heading above wrapped text": (
        """\
Fire in the kitchen
Close the door, switch off the fan and use the blanket, which hangs beside
the sink. Never use water on fat.""",
        [
            "Fire in the kitchen",
            "Close the door, switch off the fan and use the blanket, which hangs beside the sink.",
            "Never use water on fat.",
        ],
    ),
    "a Chinese heading above wrapped text": (
        """\
开放时间
图书馆每天上午九点开门，晚上八点关门。读者可以借十本书，期限是三十
天；如果没有别人预约，可以再续借一次。""",
        [
            "开放时间",
            "图书馆每天上午九点开门，晚上八点关门。",
            "读者可以借十本书，期限是三十 天；如果没有别人预约，可以再续借一次。",
        ],
    ),
    "a salutation and a signature around wrapped text": (
        """\
Dear members,
the meeting of this month takes place in the back room of the Golden Lion,
because our own house has no heating. Please bring
the minutes of the last one.
Best wishes
Marlene""",
        [
            "Dear members, the meeting of this month takes place in the back room of the Golden Lion, because our own "
            "house has no heating.",
            "Please bring the minutes of the last one.",
            "Best wishes",
            "Marlene",
        ],
    ),
    "an answer below quoted mail": (
        """\
> Could somebody ask the carpenter what a new fence behind the club house
> would cost?
I did; he wants 2,400 euros.""",
        [
            "> Could somebody ask the carpenter what a new fence behind the club house > would cost?",
            "I did; he wants 2,400 euros.",
        ],
    ),
    "who is quoted": (
        """\
On Monday, 12 May 2025, at ten o'clock, Tobias <tobias@example.org> wrote to us
> the fence behind the club house will not stand another winter.""",
        [
            "On Monday, 12 May 2025, at ten o'clock, Tobias <tobias@example.org> wrote to us",
            "> the fence behind the club house will not stand another winter.",
        ],
    ),
    "a single item": (
        "To be brought along:\n- a rope of at least ten metres, better of fifteen",
        ["To be brought along:", "- a rope of at least ten metres, better of fifteen"],
    ),
    "items below a full line": (
        """\
What everybody who goes out on the ice of the harbour has to bring along
- a rope
- a whistle""",
        [
            "What everybody who goes out on the ice of the harbour has to bring along",
            "- a rope",
            "- a whistle",
        ],
    ),
    "a recipe": (
        """\
Pancakes
200 g flour
2 eggs
Mix it all without lumps, let it rest for half an hour and fry thin pancakes
in hot butter.""",
        [
            "Pancakes",
            "200 g flour",
            "2 eggs",
            "Mix it all without lumps, let it rest for half an hour and fry thin pancakes in hot butter.",
        ],
    ),
    "a log whose entries are wrapped": (
        """\
2024-03-01 The pump was taken apart because it made a noise that nobody had
  heard before; a stone was found in the wheel
2024-03-02 The pump runs""",
        [
            "2024-03-01 The pump was taken apart because it made a noise that nobody had heard before; a stone was "
            "found in the wheel",
            "2024-03-02 The pump runs",
        ],
    ),
    "keys whose values are wrapped": (
        """\
Licence: this work may be copied, changed and sold by everybody, as long as
 its authors are named
Source: the archive of the town""",
        [
            "Licence: this work may be copied, changed and sold by everybody, as long as its authors are named",
            "Source: the archive of the town",
        ],
    ),
    "a subtitle": (
        """\
14
00:01:02,500 --> 00:01:05,000
You said you would never
come back.""",
        ["14", "00:01:02,500 --> 00:01:05,000", "You said you would never come back."],
    ),
    "paragraphs that end with a short line": (
        """\
The path along the cliff is closed from November to March, because stones
fall when the ground thaws.
It is open again as soon as the warden has walked it, which he does in the
first week of April.""",
        [
            "The path along the cliff is closed from November to March, because stones fall when the ground thaws.",
            "It is open again as soon as the warden has walked it, which he does in the first week of April.",
        ],
    ),
    "one very long line between short ones": (
        "Dear all,\nThe tent is rented, " + "and the benches come from school, " * 4 + "that is all.\nSee you\nYusuf",
        [
            "Dear all,",
            "The tent is rented, " + "and the benches come from school, " * 4 + "that is all.",
            "See you",
            "Yusuf",
        ],
    ),
    "indented code": (
        """\
    scale.tare()
    scale.calibrate(known=10.0)
    print(scale.read())""",
        ["scale.tare()", "scale.calibrate(known=10.0)", "print(scale.read())"],
    ),
    "a ruled title": (
        """\
OPENING HOURS OF THE LIBRARY AND OF THE READING ROOM BELOW IT
-------------------------------------------------------------
daily""",
        ["OPENING HOURS OF THE LIBRARY AND OF THE READING ROOM BELOW IT", "-" * 61, "daily"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", RECORDS.values(), ids=RECORDS)
def test_records_are_a_sentence_a_line(text: str) -> None:
    assert parts(text) == [" ".join(line.split()) for line in text.split("\n")]


@pytest.mark.parametrize(("text", "sentences"), [*PROSE.values(), *MIXED.values()], ids=[*PROSE, *MIXED])
def test_wrapped_prose_is_joined(text: str, sentences: list[str]) -> None:
    assert parts(text) == sentences


TEXTS = {
    "English": (
        "The lock was built in 1826, when coal was brought to the towns along the river by barges that were drawn by "
        "horses. Its gates weigh 14 tons each. They are opened by hand, as Mr. Brown, the keeper, likes to show to "
        "school classes; this takes two men, or one and a good deal of patience! In winter, i.e. from November to "
        "March, nothing moves: the water is let out, and the walls are mended. What happens if the river freezes? "
        "Then everybody skates to Marlow, where the inn has been open on such days since 1895."
    ),
    "German": (
        "Die Schleuse wurde 1826 gebaut, als man Kohle mit Kähnen zu den Städten am Fluss brachte, die von Pferden "
        "gezogen wurden. Ihre Tore wiegen je 14 Tonnen. Der Wärter, Herr Dr. Braun, öffnet sie am liebsten von Hand, "
        "z. B. wenn Schulklassen kommen; dazu braucht es zwei Leute, oder einen und viel Geduld! Im Winter, d. h. von "
        "November bis März, ruht der Betrieb: Das Wasser wird abgelassen, und die Mauern werden am 2. Januar geprüft. "
        "Was geschieht, wenn der Fluss zufriert? Dann laufen alle auf Schlittschuhen nach Marlow."
    ),
    "Russian": (
        "Шлюз построили в 1826 году, когда уголь возили в города вдоль реки на баржах, которые тянули лошади. Каждые "
        "ворота весят 14 тонн. Смотритель, А. П. Браун, открывает их вручную, когда приходят школьники; для этого "
        "нужны двое, или один и много терпения! Зимой, т. е. с ноября по март, ничего не движется: воду спускают, а "
        "стены чинят. Что бывает, когда река замерзает? Тогда все бегут на коньках в Марлоу, где с 1895 г. трактир."
    ),
    "Spanish": (
        "La esclusa se construyó en 1826, cuando el carbón llegaba a las ciudades en barcazas tiradas por caballos. "
        "Cada puerta pesa 14 toneladas. El guarda, el Sr. Moreno, las abre a mano cuando vienen los colegios; para "
        "eso hacen falta dos personas, ¡o una y mucha paciencia! En invierno, es decir, de noviembre a marzo, nada se "
        "mueve: se vacía el agua y se reparan los muros. ¿Qué pasa si el río se hiela? Entonces todos patinan hasta "
        "Marlow."
    ),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_wrapping_a_paragraph_does_not_change_its_sentences(text: str) -> None:
    whole = parts(text)
    assert len(whole) > 5
    for width in range(50, 110):
        assert parts(textwrap.fill(text, width, break_on_hyphens=False)) == whole, width
        quoted = textwrap.fill(text, width, initial_indent="> ", subsequent_indent="> ", break_on_hyphens=False)
        assert [sentence.replace("> ", "") for sentence in parts(quoted)] == whole, width


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_ragged_margin_does_not_change_them(text: str) -> None:
    whole = parts(text)
    for seed in range(40):
        assert parts(_ragged(text, 72, random.Random(seed))) == whole, seed


def _ragged(text: str, width: int, chance: random.Random) -> str:
    """Lines of which each stops somewhere in the last sixth of the width."""
    lines, line, most = [], "", width
    for word in text.split():
        if line and len(line) + 1 + len(word) > most:
            lines.append(line)
            line, most = word, chance.randint(width * 5 // 6, width)
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Home\nOur courses\nHoney shop, open daily", ["Home", "Our courses", "Honey shop, open daily"]),
        ("one item that goes on\ninner\ntwo", ["one item that goes on", "inner", "two"]),
        ("- Anna Schmidt\n  Tel. 0741\n- Bert", ["- Anna Schmidt Tel. 0741", "- Bert"]),
        ("- Anna\n  Phone: 1\n  Mail: 2\n- Bert", ["- Anna Phone: 1 Mail: 2", "- Bert"]),
        ("- one\n\n  more of it\n- two", ["- one", "more of it", "- two"]),
        ("* bullets of\n  two lines\n* a dog", ["* bullets of two lines", "* a dog"]),
    ],
)
def test_items_of_a_list(text: str, sentences: list[str]) -> None:
    assert parts(text, "list") == sentences


def test_a_heading_is_one_sentence() -> None:
    assert parts("Fire in\nKitchens\n========", "heading") == ["Fire in Kitchens ========"]
