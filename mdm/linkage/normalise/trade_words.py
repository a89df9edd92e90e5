"""What business names are made of beside the proper name: abbreviations, trades, English words for them, numerals.

Vocabulary only. It is that of the economic sectors and of company law, not of any one list of firms: a word stands here
because it tells what a firm does, so that what is left tells which firm it is. All text is folded.
"""

from __future__ import annotations

import re

# Written out wherever they stand; counts of the commonest in 4,806 public short names are beside the domain's table.
ABBREVIATIONS = {
    "xd": "xay dung", "pt": "phat trien", "dv": "dich vu", "xnk": "xuat nhap khau", "dt": "dau tu",
    "tm": "thuong mai", "vlxd": "vat lieu xay dung", "vl": "vat lieu", "bds": "bat dong san", "sx": "san xuat",
    "kcn": "khu cong nghiep", "gt": "giao thong", "gtvt": "giao thong van tai", "xl": "xay lap", "tb": "thiet bi",
    "kt": "ky thuat", "kd": "kinh doanh", "dl": "du lich", "ck": "chung khoan", "bh": "bao hiem", "nh": "ngan hang",
    "vt": "van tai", "cn": "cong nghiep", "cntt": "cong nghe thong tin", "tmdv": "thuong mai dich vu",
    "tmcp": "thuong mai co phan", "sxtm": "san xuat thuong mai", "sxkd": "san xuat kinh doanh",
    "xdtm": "xay dung thuong mai", "tmxd": "thuong mai xay dung", "dtxd": "dau tu xay dung",
    "dtpt": "dau tu phat trien", "xdgt": "xay dung giao thong", "ktcn": "ky thuat cong nghiep",
    "ttnt": "trang tri noi that", "tmxnk": "thuong mai xuat nhap khau", "nk": "nhap khau", "xk": "xuat khau",
    "hcm": "ho chi minh", "tphcm": "ho chi minh", "vn": "viet nam", "hn": "ha noi", "dn": "da nang", "tv": "tu van",
    "tk": "thiet ke", "cp": "co phan", "ktxd": "ky thuat xay dung", "qt": "quoc te", "cty": "cong ty",
    "mt": "moi truong", "tp": "thuc pham", "sg": "sai gon", "bv": "benh vien", "ql": "quan ly", "nn": "nong nghiep",
    "tmai": "thuong mai", "oto": "o to", "gd": "giao duc", "hp": "hai phong", "xkld": "xuat khau lao dong",
    "bdsan": "bat dong san", "tw": "trung uong", "beton": "be tong", "pccc": "phong chay chua chay",
    "tnxp": "thanh nien xung phong", "td": "tap doan",
}  # fmt: skip

# English trade names are translations; the Vietnamese word is what the other registry writes.
ENGLISH = {
    "trading": "thuong mai", "commercial": "thuong mai", "trade": "thuong mai", "services": "dich vu",
    "service": "dich vu", "manufacturing": "san xuat", "production": "san xuat", "construction": "xay dung",
    "investment": "dau tu", "development": "phat trien", "transport": "van tai", "transportation": "van tai",
    "travel": "du lich", "tourism": "du lich", "tourist": "du lich", "technology": "cong nghe",
    "technologies": "cong nghe", "education": "giao duc", "equipment": "thiet bi", "telecom": "vien thong",
    "telecommunication": "vien thong", "telecommunications": "vien thong", "bank": "ngan hang",
    "insurance": "bao hiem", "securities": "chung khoan", "pharmaceutical": "duoc pham",
    "pharmaceuticals": "duoc pham", "pharma": "duoc pham", "cement": "xi mang", "steel": "thep",
    "seafood": "thuy san", "plastic": "nhua", "plastics": "nhua", "textile": "det may", "garment": "may mac",
    "energy": "nang luong", "materials": "vat lieu", "mechanical": "co khi", "engineering": "ky thuat",
    "foods": "thuc pham", "food": "thuc pham", "real estate": "bat dong san", "import export": "xuat nhap khau",
    "export import": "xuat nhap khau", "consulting": "tu van", "consultancy": "tu van", "design": "thiet ke",
    "international": "quoc te", "industrial": "cong nghiep", "industry": "cong nghiep", "electric": "dien",
    "minerals": "khoang san", "mineral": "khoang san", "media": "truyen thong", "rubber": "cao su",
    "furniture": "noi that", "interior": "noi that", "pharmacy": "nha thuoc", "restaurant": "nha hang",
    "hotel": "khach san", "hospital": "benh vien", "vietnam": "viet nam", "saigon": "sai gon",
    "hanoi": "ha noi",
}  # fmt: skip

ROMAN_NUMERALS = {"ii": "2", "iii": "3", "iv": "4", "vii": "7", "viii": "8", "ix": "9"}
"""Those that are no Vietnamese syllables and no initials: i, v, x and vi are."""

_TRADES = """
bao bi;bao hiem;bao ve;bao ve thuc vat;bat dong san;be tong;benh vien;bia ruou;ban le;bat dong san;buu chinh
buu dien;ca phe;cang;cap nuoc;cap thoat nuoc;cao su;che bien;che tao;chieu sang;chung khoan;co dien;co khi;co phan
co so;cong nghe;cong nghe thong tin;cong nghiep;cong trinh;cua hang;dai ly;dau khi;dau tu;det;det may;dia oc;dich vu
dien;dien luc;dien nuoc;dien tu;dien lanh;dien may;do thi;du lich;duoc;duoc lieu;duoc pham;duong sat;gach ngoi
gas;giai khat;giai tri;giam dinh;giao duc;giao nhan;giao thong;giay;go;ha tang;hang hai;hang khong;hoa chat;hoa dau
in;khach san;khai thac;khoang san;khu cong nghiep;kho van;kho bai;kiem toan;kien truc;kim khi;kim loai;kinh doanh
ky nghe;ky thuat;ky thuat so;lam nghiep;lap may;logistics;luong thuc;may mac;may;may moc;mia duong;moi truong
my nghe;my pham;nang luong;ngan hang;nha;nha dat;nha hang;nha khoa;nha o;nha thuoc;nha may;nhap khau;nhua;noi that
noi thuong;nong lam;nong nghiep;nong san;nuoc;nuoc giai khat;nuoc khoang;nuoc sach;o to;ong thep;phan bon;phan dam
phan mem;phan phoi;phat hanh;phat thanh;phat trien;phu gia;phu tung;phuc vu;quan;quan ly;quang cao;quay thuoc
quoc te;ruou;sach;san xuat;shop;son;sua;tai chinh;tai san;tap hoa;than;thep;thiet bi;thiet ke;thoat nuoc;thong tin
thu cong;thuc pham;thue bao;thuoc la;thuong mai;thuy dien;thuy loi;thuy san;thuy tinh;tiem;tin hoc;tong hop
trang thiet bi;trang tri;trong trot;truyen hinh;truyen thong;truong hoc;tu van;tu dong hoa;van hoa;van phong pham
van tai;vat lieu;vat lieu xay dung;vat tu;ve sinh;vien thong;xang dau;xay dung;xay lap;xe may;xep do;xi mang
xuat ban;xuat khau;xuat nhap khau;y te;y duoc;thuc vat;chan nuoi;thuc an;gia suc;hai san;dong lanh;may tinh
khoa hoc;dao tao;nghien cuu;ung dung;giai phap;ket cau;ngoai thuong;lap dat;thi cong;bao tri;sua chua;cho thue
du hoc;cung ung;nhan luc;lao dong;to chuc;su kien;hoi cho;trien lam;cong cong;cong ich;thu mua;gia cong;det nhuom
giay dep;da giay;trung uong;cay xanh;am thuc;an uong;tiem vang;vang bac;da quy;trang suc;cham soc;sac dep;lam dep
tham my;phong kham;nha tro;karaoke;internet;dien thoai;xe dap;sat thep;nhom kinh;quan an;quan com;com;pho;tiem toc
"""
TRADE_WORDS = frozenset(trade.strip() for line in _TRADES.split("\n") for trade in line.split(";") if trade.strip())
# A lone syllable is a trade only where the name begins with it: "Giấy Sơn Hà" is of paper, "Phú Sơn" of no paint.
_PHRASES = sorted((trade for trade in TRADE_WORDS if " " in trade), key=len, reverse=True)
TRADE_PHRASE = re.compile(rf"\b(?:{'|'.join(_PHRASES)})\b")
LEADING_TRADES = frozenset(trade for trade in TRADE_WORDS if " " not in trade)

# Old names of provinces and cities as they end business names, longest first; the country and its regions beside them.
PROVINCES = tuple(
    """
ba ria vung tau;thua thien hue;ho chi minh;binh dinh;binh duong;binh phuoc;binh thuan;ca mau;cao bang;dak lak;dak nong
da nang;dien bien;dong nai;dong thap;gia lai;ha giang;ha nam;ha noi;ha tinh;hai duong;hai phong;hau giang;hoa binh
hung yen;khanh hoa;kien giang;kon tum;lai chau;lam dong;lang son;lao cai;long an;nam dinh;nghe an;ninh binh
ninh thuan;phu tho;phu yen;quang binh;quang nam;quang ngai;quang ninh;quang tri;soc trang;son la;tay ninh;thai binh
thai nguyen;thanh hoa;tien giang;tra vinh;tuyen quang;vinh long;vinh phuc;yen bai;an giang;bac giang;bac kan;bac lieu
bac ninh;ben tre;can tho;hue;vung tau
""".replace("\n", ";")
    .strip(";")
    .split(";")
)
PLACES = frozenset(
    [*PROVINCES, "viet nam", "vietnam", "vn", "sai gon", "tp hcm", "tphcm", "hcm", "mien nam", "mien bac"]
)
